"""The networks, one per file, with the key names of the released weights."""
