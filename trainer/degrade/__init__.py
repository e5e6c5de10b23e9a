"""How good pictures are made bad: the classic chain on the device, and chains for video in the loader."""
