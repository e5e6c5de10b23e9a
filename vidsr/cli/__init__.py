"""The command line: one file per command. click and rich are imported here and nowhere else."""
