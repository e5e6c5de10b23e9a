"""What the skeleton of a file says of its completeness. FFmpeg passes over these breaks without a word.

Layouts: ISO/IEC 14496-12 section 4.2 (boxes), Microsoft's AVI RIFF file reference (`avih`) and Multimedia Programming
Interface 1.0 (RIFF WAVE).
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from av.container import InputContainer

from .distant import open_bytes

_MAX_BOXES = 1_000_000


def structure_fault(container: InputContainer, path: Path) -> str:
    """How the file contradicts its own skeleton, as a sentence, or nothing. Reads headers only."""
    if not path.is_file():
        return ""
    formats = container.format.name.split(",")
    with open_bytes(path) as file:
        if "mov" in formats:
            return _box_fault(file, path.stat().st_size)
        if "avi" in formats:
            return _avi_fault(file, len(container.streams))
        if "wav" in formats:
            return _wave_fault(file, path.stat().st_size)
    return ""


def _box_fault(file: BinaryIO, size: int) -> str:
    """Where the chain of boxes of a fragmented MP4 breaks: its fragments are found by nothing else."""
    place, fragmented = 0, False
    for _ in range(_MAX_BOXES):
        if place == size:
            return ""
        file.seek(place)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4]), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16])
        fragmented = fragmented or kind == b"moof"
        if length == 0 and len(header) >= 8 and kind.isalnum():
            return ""  # a box that lasts to the end of the file
        if length < 8 or not kind.isalnum() or place + length > size:
            return f"the chain of fragments breaks off at byte {place} of {size}" if fragmented else ""
        place += length
    return ""


def _avi_fault(file: BinaryIO, found: int) -> str:
    """Streams that the main header of an AVI counts and that were not found."""
    head = file.read(60)
    stated = int.from_bytes(head[56:60], "little")
    if head[24:28] != b"avih" or not found < stated <= 100:
        return ""
    return f"{found} of the {stated} streams its header states can be read"


_STREAMED = (0, 0xFFFFFFFF)
"""Lengths of samples that were written to a pipe, where nobody could go back to write the true one."""


def _wave_fault(file: BinaryIO, size: int) -> str:
    """Where the samples of a RIFF WAVE should end, if that is behind its end."""
    place = 12
    for _ in range(_MAX_BOXES):
        file.seek(place)
        header = file.read(8)
        length = int.from_bytes(header[4:], "little")
        if header[:4] == b"data" and length not in _STREAMED and place + 8 + length > size:
            return f"its samples should end at byte {place + 8 + length}, the file at {size}"
        if len(header) < 8 or header[:4] == b"data":
            return ""
        place += 8 + length + length % 2
    return ""
