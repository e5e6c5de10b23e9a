"""Picture files: read within limits, with all that they carry; written in any format, and what that costs said.

Which library reads and writes what stands in docs/pictures.md, with what was tried. The depth is that of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError, VerificationError
from .alpha import multiplied, peak_of, unmultiplied
from .image_files import avif, jpeg, tiff
from .image_files.header import SPOKEN, Broken, Header, Metadata, Quality
from .image_formats import AVIF, EXR, JPEG, TIFF, Format, format_of
from .light import to_codes, to_light

Array = NDArray[Any]


@dataclass(frozen=True)
class Picture:
    """Upright pixels, H W or H W C, in RGB order with straight alpha, and what came with them.

    uint8 and uint16 are coded for a screen; float32 is linear light, 1 being white, as in EXR.
    """

    pixels: Array
    metadata: Metadata
    format: Format
    notes: tuple[str, ...] = ()
    """What is not as it was in the file."""

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


@dataclass(frozen=True)
class Opened:
    """A picture file whose header was read, and nothing else."""

    path: Path
    data: bytes
    format: Format
    header: Header

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, upright."""
        stored = self.header.width, self.header.height
        return stored if self.header.orientation < 5 else stored[::-1]

    def picture(self) -> Picture:
        """Decoded and upright. Raises InputError where the file is damaged."""
        try:
            pixels = _decoded(self.format, self.data, self.header)
        except Broken as error:
            raise _unusable(self.path, error) from error
        notes = list(self.header.notes)
        if self.header.orientation != 1:
            pixels = np.ascontiguousarray(oriented(pixels, self.header.orientation))
            notes.append("turned upright, as its EXIF data asks")
        return Picture(pixels, self.header.metadata, self.format, tuple(notes))


def open_picture(path: Path, max_pixels: int) -> Opened:
    """Read a file and its header. Raises InputError for what is no picture, is cut short, or has too many pixels."""
    data = _bytes_of(path, max_pixels)
    try:
        kind = format_of(data)
        header: Header = kind.module.read(data)
    except Broken as error:
        raise _unusable(path, error) from error
    if header.width * header.height > max_pixels:
        what = f"its header says {header.width}x{header.height}, the limit is {max_pixels} pixels"
        raise InputError(f"picture {path}: {what}", "--max-pixels raises it")
    return Opened(path, data, kind, header)


def read_picture(path: Path, max_pixels: int) -> Picture:
    """The picture in a file, turned upright. Raises InputError for what is none, is damaged, or is too large."""
    return open_picture(path, max_pixels).picture()


def _unusable(path: Path, error: Broken) -> InputError:
    return InputError(f"picture {path}: {error}", "another program may tell more, or may still read it")


def _bytes_of(path: Path, max_pixels: int) -> bytes:
    """The whole file, as long as it is not larger than the largest picture would be without compression."""
    try:
        size = path.stat().st_size
        if size > 32 * max_pixels + (64 << 20):
            raise InputError(f"picture {path}: {size} bytes are too many for {max_pixels} pixels", "--max-pixels")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"picture {path}: {(error.strerror or str(error)).lower()}") from error


def _decoded(kind: Format, data: bytes, header: Header) -> Array:
    """Pixels that are what the header announced."""
    pixels: Array = kind.module.decode(data, header)
    dtype = {8: "uint8", 10: "uint16", 12: "uint16", 16: "uint16", 32: "float32"}[header.depth]
    shape = (header.height, header.width, *((header.channels,) if header.channels > 1 else ()))
    if pixels.shape != shape or pixels.dtype != dtype:
        raise Broken(f"it decodes to {pixels.shape} of {pixels.dtype}, its header says {shape} of {dtype}")
    if pixels.dtype.kind == "f":
        pixels = np.nan_to_num(pixels)
    return _straight(pixels) if header.premultiplied else pixels


def _straight(pixels: Array) -> Array:
    """Colours that are not multiplied by alpha, in the dtype they had."""
    peak = peak_of(pixels.dtype)
    straight = unmultiplied(pixels.astype(np.float32) / np.float32(peak))
    if pixels.dtype.kind == "f":
        return straight
    return np.rint(straight.clip(0, 1) * peak).astype(pixels.dtype)


def oriented(pixels: Array, orientation: int) -> Array:
    """Stored pixels to upright ones; `orientation` as EXIF counts, 1 … 8."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


@dataclass(frozen=True)
class Encoded:
    """A file in memory, and what is in it. `notes` say what of the picture is not."""

    data: bytes
    pixels: Array
    metadata: Metadata
    format: Format
    notes: tuple[str, ...]


def encoded(picture: Picture, kind: Format, quality: Quality) -> Encoded:
    """A picture as a file. Raises OutputError for sizes that the format cannot have."""
    size = f"{picture.width}x{picture.height}"
    if max(picture.width, picture.height) > kind.side:
        what = f"{size} exceeds the {kind.side} pixels that {kind.name} can have"
        raise OutputError(f"picture of {what}", "choose another format with --ext")
    pixels, changed = fitted(picture.pixels, kind)
    metadata, lost = _placed(picture, pixels, kind)
    stored = multiplied(pixels) if kind is EXR and pixels.ndim == 3 and pixels.shape[2] == 4 else pixels
    try:
        data = kind.module.encode(np.ascontiguousarray(stored), metadata, quality)
    except OverflowError as error:
        raise OutputError(f"picture of {size}: {error}", "choose another format with --ext") from error
    return Encoded(data, pixels, metadata, kind, (*changed, *lost))


def _placed(picture: Picture, pixels: Array, kind: Format) -> tuple[Metadata, list[str]]:
    """The metadata that the file gets, and notes on what it does not."""
    metadata = picture.metadata.upright(picture.width, picture.height)
    damaged = picture.metadata.there() - metadata.there()
    misfit = {"icc"} if metadata.icc and not _fits(metadata.icc, picture.pixels, pixels) else set()
    damaged |= {"density"} if metadata.density and not all(1 <= value <= 65535 for value in metadata.density) else set()
    metadata = metadata.without(damaged)
    homeless = (metadata.there() - kind.metadata) | _unplaced(metadata, kind)
    long = jpeg.too_long(metadata) - homeless if kind is JPEG else set()
    notes = [f"{SPOKEN[name]} is damaged and not kept" for name in sorted(damaged)]
    notes += ["ICC profile is not kept, it is for other channels or samples"] * len(misfit)
    notes += [f"{SPOKEN[name]} is not kept, {kind.name} has no place for it" for name in sorted(homeless - misfit)]
    notes += [f"{SPOKEN[name]} is not kept, it is too long for {kind.name}" for name in sorted(long)]
    return metadata.without(misfit | homeless | long), notes


def _unplaced(metadata: Metadata, kind: Format) -> set[str]:
    """Fields of a form for which the format has no place."""
    exif = kind is TIFF and metadata.exif is not None and not tiff.words_of(metadata.exif)
    xmp = kind is AVIF and metadata.xmp is not None and not avif.is_found(metadata.xmp)
    return {name for name, unplaced in (("exif", exif), ("xmp", xmp)) if unplaced}


def _fits(icc: bytes, before: Array, after: Array) -> bool:
    """Whether a profile still says what the pixels mean: it is for gray or for RGB, and for codes or for light."""
    gray = after.ndim == 2 or after.shape[2] == 2
    return icc[16:20] == (b"GRAY" if gray else b"RGB ") and before.dtype.kind == after.dtype.kind


def fitted(pixels: Array, kind: Format) -> tuple[Array, list[str]]:
    """Pixels of a kind that the format can hold, and what was changed for that."""
    notes = []
    if pixels.dtype.name not in kind.dtypes:
        wanted = kind.dtypes[-1]
        notes.append(f"{_depth(pixels.dtype)} become {_depth(np.dtype(wanted))}, {kind.name} has no other")
        pixels = _as_dtype(pixels, np.dtype(wanted))
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if channels not in kind.channels:
        pixels, said = _as_channels(pixels, channels, kind)
        notes.append(said)
    return pixels, notes


def _depth(dtype: np.dtype[Any]) -> str:
    return "float samples of linear light" if dtype.kind == "f" else f"samples of {dtype.itemsize * 8} bit"


def _as_dtype(pixels: Array, wanted: np.dtype[Any]) -> Array:
    """Codes to linear light and back, or to fewer bits, rounded."""
    if wanted.kind == "f":
        return to_light(pixels)
    if pixels.dtype.kind == "f":
        return to_codes(pixels, wanted)
    return np.rint(pixels * (peak_of(wanted) / peak_of(pixels.dtype))).astype(wanted)


def _as_channels(pixels: Array, channels: int, kind: Format) -> tuple[Array, str]:
    if channels in (2, 4) and not {2, 4} & set(kind.channels):
        kept = pixels[..., :-1]
        fits = channels == 4 or 1 in kind.channels
        return kept if channels == 4 else kept[..., 0] if fits else np.dstack([kept] * 3), (
            f"transparency is dropped, {kind.name} has none"
        )
    gray = pixels if channels == 1 else pixels[..., 0]
    alpha = [] if channels == 1 else [pixels[..., 1]]
    return np.dstack([gray, gray, gray, *alpha]), f"gray is written as three equal channels, as {kind.name} needs"


def check_written(path: Path, sent: Encoded) -> tuple[str, ...]:
    """Read a written file again. Raises VerificationError where it is not what was sent; gives what was compared."""
    try:
        seen = read_picture(path, sent.pixels.size)
    except InputError as error:
        raise VerificationError(f"output {path} cannot be read again: {error}") from error
    shown, wanted = (f"{pixels.shape} of {pixels.dtype}" for pixels in (seen.pixels, sent.pixels))
    if shown != wanted:
        raise VerificationError(f"output {path} reads back as {shown}, not {wanted}")
    missing = sent.metadata.there() - seen.metadata.there()
    if missing:
        raise VerificationError(f"output {path} reads back without its {', '.join(SPOKEN[name] for name in missing)}")
    if not sent.format.exact:
        return ("size", "depth", "channels", "metadata")
    if not np.array_equal(seen.pixels, sent.pixels):
        raise VerificationError(f"output {path} reads back with other pixels")
    return ("size", "depth", "channels", "metadata", "every pixel")
