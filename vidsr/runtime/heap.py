"""The C library's heap.

Feature maps come and go with every layer, in blocks of tens of megabytes. glibc gives each back to the system, which
then clears the pages of the next one: that costs up to a third of the time.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # from malloc.h
_LARGEST = 1 << 30
"""Blocks up to this many bytes, and as much free memory at the end of the heap, stay with the process."""

_kept = False


def keep_freed_memory() -> bool:
    """Make the heap of this process keep what is freed, for the next block; whether that was possible.

    For programs of our own: it is a setting of the whole process, which then never shrinks while it runs.
    """
    global _kept
    if sys.platform.startswith("linux"):
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt") and hasattr(library, "gnu_get_libc_version"):
            settings = ((_M_MMAP_THRESHOLD, _LARGEST), (_M_TRIM_THRESHOLD, _LARGEST), (_M_TOP_PAD, 64 << 20))
            _kept = all(library.mallopt(name, value) for name, value in settings)
    return _kept


def is_kept() -> bool:
    """Whether freed memory stays with the process."""
    return _kept
