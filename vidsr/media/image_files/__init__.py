"""Picture files, one module for each format: what their header says, what else they carry, their pixels.

Every module has `read(data)`, which gives a `Header` without decoding anything and raises `Broken`; `decode(data,
header)`, pixels H W or H W C in RGB order; and, where vidsr writes the format, `encode(pixels, metadata, quality)`. All
lengths in a file are checked against the file before they are used, and no loop is longer than the file.
"""
