"""What comes through, picture by picture: every kind and depth, upscaled to every format, read back and compared.

    python -m benchmarks.pictures [FILE]        writes the page to FILE (docs/pictures.md), `-` for the screen

Every cell of the tables is found in the files of this run. The network repeats every pixel, so that it is known what
each must hold.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from tests.fakes import Repeater, describe
from tests.picture_files import everything, noise, save
from vidsr import upscaler
from vidsr.events import ignore
from vidsr.media.image_files.header import SPOKEN
from vidsr.media.image_formats import FORMATS
from vidsr.media.images import Picture, read_picture
from vidsr.options import Options
from vidsr.pictures import upscale_picture

ENDINGS = (".png", ".tif", ".webp", ".exr", ".jpg", ".avif", ".bmp")
CHANNELS = {1: "gray", 2: "gray, alpha", 3: "RGB", 4: "RGB, alpha"}
PAGE = Path(__file__).parent / "pictures_page.md"
LIMIT = 1 << 20


def outputs(source: Path) -> dict[str, Picture]:
    """The picture upscaled to every format, as it reads back."""
    found = {}
    for ending in ENDINGS:
        target = source.with_name(f"{source.stem}_out{ending}")
        upscale_picture(source, target, Options(device="cpu", precision="fp32", overwrite=True), ignore)
        found[ending] = read_picture(target, LIMIT)
    return found


def table_of_pixels(folder: Path) -> list[str]:
    """Rows of Markdown: what the pixels of each kind and depth became."""
    rows = [_row("pixels of the input", *(FORMATS[ending].name for ending in ENDINGS)), _row(*["---"] * 8)]
    for depth, dtype in (("8 bit", np.uint8), ("16 bit", np.uint16), ("float", np.float32)):
        for channels, name in CHANNELS.items():
            if (channels, dtype) == (2, np.float32):
                continue  # no format here has it
            pixels = noise(channels, dtype)
            found = outputs(save(folder / f"{channels}-{pixels.itemsize}.tif", pixels))
            expected = pixels.repeat(2, 0).repeat(2, 1)
            rows.append(_row(f"{name}, {depth}", *(cell(expected, found[ending].pixels) for ending in ENDINGS)))
    return rows


def cell(expected: NDArray[Any], seen: NDArray[Any]) -> str:
    """What became of pixels: every one the same, or what they are now."""
    if seen.shape == expected.shape and seen.dtype == expected.dtype:
        near = seen.dtype.kind == "f" and np.allclose(seen, expected, rtol=1e-5, atol=1e-6)
        return "every pixel" if near or np.array_equal(seen, expected) else "kept, lossy"
    samples = "float" if seen.dtype.kind == "f" else f"{seen.itemsize * 8} bit"
    return f"{CHANNELS[seen.shape[2] if seen.ndim == 3 else 1]}, {samples}"


def table_of_metadata(folder: Path) -> list[str]:
    """Rows of Markdown: what of the metadata came through, from PNG and TIFF, which hold all of it between them."""
    rows = [_row("metadata of the input", *(FORMATS[ending].name for ending in ENDINGS)), _row(*["---"] * 8)]
    sources = {ending: save(folder / f"all{ending}", noise(3, np.uint8), everything(3)) for ending in (".png", ".tif")}
    given = {ending: read_picture(source, LIMIT).metadata for ending, source in sources.items()}
    found = {ending: outputs(source) for ending, source in sources.items()}
    for name, words in SPOKEN.items():
        first = ".tif" if name == "photoshop" else ".png"
        wanted = getattr(given[first], name)
        seen = (getattr(found[first][ending].metadata, name) for ending in ENDINGS)
        rows.append(_row(words, *(_kept(name, wanted, value) for value in seen)))
    return rows


def _kept(name: str, wanted: Any, value: Any) -> str:
    if not value:
        return "–"
    if name == "exif":
        return "kept, sizes new"
    same = value == wanted or (name == "density" and np.allclose(value, wanted, rtol=1e-3))
    return "kept" if same else "changed"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def page(folder: Path) -> str:
    """The whole document."""
    with mock.patch.object(upscaler, "load_model", return_value=describe(Repeater(2))):
        pixels, metadata = table_of_pixels(folder), table_of_metadata(folder)
    text = PAGE.read_text(encoding="utf-8")
    return text.replace("{pixels}", "\n".join(pixels)).replace("{metadata}", "\n".join(metadata))


def main(arguments: Sequence[str]) -> None:
    target = arguments[0] if arguments else "docs/pictures.md"
    with tempfile.TemporaryDirectory() as folder:
        text = page(Path(folder))
    if target == "-":
        sys.stdout.write(text)
    else:
        Path(target).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
