"""Picture files: what goes in comes out, what is told, and what is refused before anything is decoded."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.picture_files import CMYK_JPEG, ICC, chunk, everything, exif, noise, patched, png, save
from vidsr.errors import InputError, OutputError, VerificationError
from vidsr.media import images
from vidsr.media.alpha import multiplied
from vidsr.media.image_files import avif, exr, jpeg, tiff
from vidsr.media.image_files.codec import av_encode
from vidsr.media.image_files.header import Metadata, Quality, exif_for, exif_orientation
from vidsr.media.image_files.tags import Value, block, opened, read_directory
from vidsr.media.image_formats import AVIF, EXR, FORMATS, JPEG, PNG, TIFF, WEBP
from vidsr.media.images import Picture, check_written, encoded, read_picture

LIMIT = 1 << 20


HELD = [
    (ending, dtype, channels)
    for ending in (".png", ".tif", ".bmp", ".webp", ".exr")
    for dtype in FORMATS[ending].dtypes
    for channels in FORMATS[ending].channels
    if (ending, dtype, channels) != (".tif", "float32", 2)  # which nothing reads
]


@pytest.mark.parametrize(("ending", "dtype", "channels"), HELD)
def test_what_a_format_can_hold_it_gives_back(tmp_path: Path, ending: str, dtype: str, channels: int) -> None:
    kind = FORMATS[ending]
    pixels = noise(channels, dtype)
    back = read_picture(save(tmp_path / f"a{ending}", pixels), LIMIT)
    assert back.pixels.dtype == dtype
    assert back.notes == ()
    np.testing.assert_allclose(back.pixels, pixels, rtol=1e-6 if kind is EXR and channels == 4 else 0)


@pytest.mark.parametrize("ending", [".jpg", ".avif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossy_formats_are_near(tmp_path: Path, ending: str, channels: int) -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)[None].repeat(48, 0)
    pixels = ramp if channels == 1 else np.dstack([ramp, ramp[:, ::-1], ramp])
    back = read_picture(save(tmp_path / f"a{ending}", pixels), LIMIT).pixels
    assert back.shape == pixels.shape
    assert int(cv2.absdiff(back, pixels).max()) <= 4


@pytest.mark.parametrize(
    ("ending", "channels"),
    [(e, c) for e in (".png", ".jpg", ".webp", ".tif", ".avif", ".bmp") for c in (1, 3) if c in FORMATS[e].channels],
)
def test_metadata_comes_through_byte_for_byte(tmp_path: Path, ending: str, channels: int) -> None:
    kind, sent = FORMATS[ending], everything(channels)
    found = read_picture(save(tmp_path / f"a{ending}", noise(channels, np.uint8), sent), LIMIT).metadata
    assert found.there() == sent.there() & kind.metadata
    for name in found.there() - {"exif", "density"}:
        assert getattr(found, name) == getattr(sent, name), name
    if found.density:
        assert found.density == pytest.approx((300, 150), rel=1e-3)
    if found.exif:
        assert _makers(found.exif) == b"maker\0"


def _makers(data: bytes) -> bytes:
    return read_directory(data, *opened(data))[0][271].raw


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_of_an_upright_picture(order: str) -> None:
    data = exif_for(exif(6, order), 640, 480)
    assert data is not None
    assert exif_orientation(exif(6, order)) == 6
    assert read_directory(data, *opened(data))[0][274].raw == struct.pack(order + "H", 1)
    assert exif_orientation(data) == 1
    found, after = read_directory(data, *opened(data))
    below = found[0x8769].below
    assert below is not None
    assert struct.unpack(order + "I", below[0xA002].raw) == (640,)
    assert below[0x9003].raw == b"2020:01:02 03:04:05\0"
    assert after == 0, "the thumbnail shows the picture as it was turned before"


def test_damaged_exif_is_dropped_and_told(tmp_path: Path) -> None:
    sent = encoded(Picture(noise(3, np.uint8), Metadata(exif=b"II*\0\xff\xff\xff\x7f"), PNG), PNG, Quality())
    assert sent.notes == ("EXIF is damaged and not kept",)
    assert sent.metadata.exif is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright_once(tmp_path: Path, orientation: int) -> None:
    """OpenCV turns JPEG upright too, by the same tag."""
    path = save(tmp_path / "a.jpg", cv2.resize(noise(3, np.uint8, 3, 4), (64, 48)))
    data = path.read_bytes()
    tag = jpeg.EXIF + exif(orientation)
    path.write_bytes(data[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(tag) + 2) + tag + data[2:])
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    picture = read_picture(path, LIMIT)
    np.testing.assert_array_equal(picture.pixels, expected)
    assert images.open_picture(path, LIMIT).size == (picture.width, picture.height)
    again = encoded(picture, PNG, Quality())
    assert exif_orientation(again.metadata.exif) == 1
    assert ("turned upright" in " ".join(picture.notes)) == (orientation != 1)


def test_the_orientation_that_xmp_repeats_is_reset() -> None:
    sent = encoded(Picture(noise(3, np.uint8), everything(3, 6), PNG), PNG, Quality())
    assert sent.metadata.xmp == b'<x:xmpmeta tiff:Orientation="1"></x:xmpmeta>'


PALETTE = (b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255]))


@pytest.mark.parametrize(
    ("data", "expected", "note"),
    [
        (png((2, 1), 8, 3, b"\0\2", PALETTE), [[[255, 0, 0], [0, 0, 255]]], "palette of 3 colours becomes RGB"),
        (
            png((2, 1), 8, 3, b"\0\2", PALETTE, (b"tRNS", b"\x40")),
            [[[255, 0, 0, 64], [0, 0, 255, 255]]],
            "palette of 3 colours becomes RGB",
        ),
        (png((4, 1), 1, 0, b"\xa0"), [[255, 0, 255, 0]], "gray of 1 bit becomes 8 bit"),
        (png((4, 1), 2, 0, b"\x1b"), [[0, 85, 170, 255]], "gray of 2 bit becomes 8 bit"),
        (png((2, 1), 4, 0, b"\x3f"), [[51, 255]], "gray of 4 bit becomes 8 bit"),
        (
            png((2, 1), 8, 0, b"\x07\x08", (b"tRNS", b"\0\7")),
            [[[7, 0], [8, 255]]],
            "a transparent colour becomes alpha",
        ),
        (png((2, 1), 2, 0, b"\x40", (b"tRNS", b"\0\1")), [[[85, 0], [0, 255]]], "a transparent colour becomes alpha"),
        (
            png((1, 1), 8, 2, b"\1\2\3", (b"tRNS", b"\0\1\0\2\0\3")),
            [[[1, 2, 3, 0]]],
            "a transparent colour becomes alpha",
        ),
        (png((1, 1), 16, 4, b"\1\2\3\4"), [[[0x102, 0x304]]], None),
        (png((1, 1), 16, 2, b"\1\2\3\4\5\6"), [[[0x102, 0x304, 0x506]]], None),
        (png((1, 1), 16, 0, b"\0\1"), [[1]], None),
    ],
)
def test_kinds_of_png(tmp_path: Path, data: bytes, expected: list[Any], note: str | None) -> None:
    (tmp_path / "a.png").write_bytes(data)
    picture = read_picture(tmp_path / "a.png", LIMIT)
    np.testing.assert_array_equal(picture.pixels, expected)
    assert note is None or note in picture.notes
    deep = data[24] == 16
    assert picture.pixels.dtype == (np.uint16 if deep else np.uint8), "dark 16 bit stays 16 bit"


def test_cmyk_becomes_rgb_and_loses_its_profile(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(CMYK_JPEG)
    picture = read_picture(tmp_path / "a.jpg", LIMIT)
    assert picture.notes == ("CMYK becomes RGB, without its profile",)
    np.testing.assert_allclose(picture.pixels[4, 1], [255, 0, 0], atol=12)
    np.testing.assert_allclose(picture.pixels[4, 6], [255, 255, 255], atol=12)


def test_colours_multiplied_by_alpha_are_divided(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), [51, 102, 25, 102], np.uint8)
    data = save(tmp_path / "a.tif", pixels).read_bytes()
    (tmp_path / "a.tif").write_bytes(patched(data, tiff.EXTRA, 1))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif", LIMIT).pixels[0, 0], [128, 255, 62, 102])
    light = noise(4, np.float32)
    (tmp_path / "a.exr").write_bytes(exr.encode(multiplied(light), Metadata(), Quality()))
    np.testing.assert_allclose(read_picture(tmp_path / "a.exr", LIMIT).pixels, light, rtol=1e-6)


def test_further_pages_are_told(tmp_path: Path) -> None:
    done, data = cv2.imencodemulti(".tif", [noise(3, np.uint8), noise(3, np.uint8, seed=1)])
    assert done
    (tmp_path / "a.tif").write_bytes(bytes(data))
    picture = read_picture(tmp_path / "a.tif", LIMIT)
    assert picture.notes == ("of 2 pages only the first is used",)
    np.testing.assert_array_equal(picture.pixels, cv2.cvtColor(noise(3, np.uint8), cv2.COLOR_RGB2BGR))


@pytest.mark.parametrize("packing", ["none", "rle", "zip1", "zip16"])
@pytest.mark.parametrize("samples", ["half", "float"])
def test_kinds_of_exr(tmp_path: Path, packing: str, samples: str) -> None:
    light = noise(3, np.float32) * np.float32(8)
    planes = [np.ascontiguousarray(light[..., channel]) for channel in (1, 2, 0)]
    data = av_encode("exr", "gbrpf32le", planes, {"compression": packing, "format": samples})
    (tmp_path / "a.exr").write_bytes(data)
    back = read_picture(tmp_path / "a.exr", LIMIT)
    assert back.pixels.dtype == np.float32
    np.testing.assert_allclose(back.pixels, light, rtol=1e-3 if samples == "half" else 0)
    for cut in (len(data) // 2, len(data) - 5):
        (tmp_path / "a.exr").write_bytes(data[:cut])
        with pytest.raises(InputError, match="cut short"):
            read_picture(tmp_path / "a.exr", LIMIT)


def test_light_that_is_no_number_becomes_one(tmp_path: Path) -> None:
    pixels = np.array([[np.nan, np.inf, 2.5]], np.float32)
    (tmp_path / "a.exr").write_bytes(exr.encode(pixels, Metadata(), Quality()))
    back = read_picture(tmp_path / "a.exr", LIMIT).pixels
    assert np.isfinite(back).all()
    assert back[0, 0] == 0
    assert back[0, 2] == 2.5


@pytest.mark.parametrize(
    ("turn", "mirror", "orientation"),
    [(0, None, 1), (0, 1, 2), (2, None, 3), (0, 0, 4), (1, 0, 5), (3, None, 6), (3, 0, 7), (1, None, 8)],
)
def test_the_boxes_by_which_avif_turns(turn: int, mirror: int | None, orientation: int) -> None:
    boxes = b"\0\0\0\x09irot" + bytes([turn]) if turn else b""
    boxes += b"" if mirror is None else b"\0\0\0\x09imir" + bytes([mirror])
    assert avif._orientation(boxes) == orientation


@pytest.mark.parametrize(
    ("ending", "pixels", "notes"),
    [
        (".jpg", noise(4, np.uint16), ("samples of 16 bit become samples of 8 bit, JPEG has no other",
                                       "transparency is dropped, JPEG has none")),
        (".jpg", noise(2, np.uint8), ("transparency is dropped, JPEG has none",)),
        (".webp", noise(1, np.uint8), ("gray is written as three equal channels, as WebP needs",)),
        (".png", noise(3, np.float32), ("float samples of linear light become samples of 16 bit, PNG has no other",)),
        (".exr", noise(3, np.uint8), ("samples of 8 bit become float samples of linear light, EXR has no other",)),
    ],
)  # fmt: skip
def test_what_a_format_cannot_hold_is_told(tmp_path: Path, ending: str, pixels: Any, notes: tuple[str, ...]) -> None:
    kind = FORMATS[ending]
    sent = encoded(Picture(pixels, Metadata(), kind), kind, Quality())
    assert sent.notes == notes
    path = tmp_path / f"a{ending}"
    path.write_bytes(sent.data)
    assert "size" in check_written(path, sent)


def test_sixteen_bit_to_eight_and_light_to_codes_are_rounded() -> None:
    pixels, _ = images.fitted(np.array([[0, 128, 129, 65535]], np.uint16), JPEG)
    np.testing.assert_array_equal(pixels, [[0, 0, 1, 255]])
    codes, _ = images.fitted(np.array([[0, 0.21404114, 1, 7]], np.float32), WEBP)
    np.testing.assert_array_equal(codes[0, :, 0], [0, 128, 255, 255])


def test_a_profile_for_other_channels_is_dropped() -> None:
    sent = encoded(Picture(noise(1, np.uint8), Metadata(icc=ICC["GRAY"]), PNG), WEBP, Quality())
    assert sent.metadata.icc is None
    assert "ICC profile is not kept, it is for other channels or samples" in sent.notes


def test_what_is_too_long_for_jpeg_is_told(tmp_path: Path) -> None:
    long = Metadata(xmp=b"<x:xmpmeta>" + b" " * 70000 + b"</x:xmpmeta>", icc=ICC["RGB "] + b"x" * 200_000)
    sent = encoded(Picture(noise(3, np.uint8), long, JPEG), JPEG, Quality())
    assert sent.notes == ("XMP is not kept, it is too long for JPEG",)
    (tmp_path / "a.jpg").write_bytes(sent.data)
    check_written(tmp_path / "a.jpg", sent)
    assert read_picture(tmp_path / "a.jpg", LIMIT).metadata.icc == long.icc, "in four segments"


@pytest.mark.parametrize(
    ("metadata", "kind", "note"),
    [
        (Metadata(exif=block({274: Value(3, b"\1\0")}, "<")), TIFF, "EXIF is not kept, TIFF has no place for it"),
        (Metadata(exif=block({271: Value(2, b"maker\0")}, "<")[:-4]), TIFF, "EXIF is not kept, TIFF has no place"),
        (Metadata(xmp=b"<rdf/>"), AVIF, "XMP is not kept, AVIF has no place for it"),
        (Metadata(density=(0.01, 300)), PNG, "density is damaged and not kept"),
        (Metadata(density=(300, 1e9)), JPEG, "density is damaged and not kept"),
    ],
)
def test_metadata_of_odd_forms_is_told_and_left_out(tmp_path: Path, metadata: Metadata, kind: Any, note: str) -> None:
    sent = encoded(Picture(noise(3, np.uint8), metadata, kind), kind, Quality())
    assert len(sent.notes) == 1
    assert sent.notes[0].startswith(note)
    (tmp_path / "a").write_bytes(sent.data)
    check_written(tmp_path / "a", sent)


def test_tags_of_tiff_that_are_not_kept_are_told(tmp_path: Path) -> None:
    data = save(tmp_path / "a.tif", noise(3, np.uint8), everything(3)).read_bytes()
    (tmp_path / "a.tif").write_bytes(data.replace(struct.pack("<HH", 271, 2), struct.pack("<HH", 272, 2)))
    assert read_picture(tmp_path / "a.tif", LIMIT).notes == ()
    (tmp_path / "a.tif").write_bytes(data.replace(struct.pack("<HH", 271, 2), struct.pack("<HH", 33550, 2)))
    assert read_picture(tmp_path / "a.tif", LIMIT).notes == ("tags 33550 are not kept",)


def test_a_side_that_the_format_cannot_have_is_refused() -> None:
    with pytest.raises(OutputError, match="16384x1 exceeds the 16383 pixels that WebP"):
        encoded(Picture(np.zeros((1, 16384, 3), np.uint8), Metadata(), WEBP), WEBP, Quality())


def test_a_file_that_is_not_what_was_sent_is_noticed(tmp_path: Path) -> None:
    pixels = noise(3, np.uint8)
    sent = encoded(Picture(pixels, everything(3), PNG), PNG, Quality())
    path = tmp_path / "a.png"
    for other, match in [
        (save(path, pixels[:-1], everything(3)).read_bytes(), "reads back as"),
        (save(path, 255 - pixels, everything(3)).read_bytes(), "other pixels"),
        (save(path, pixels).read_bytes(), "reads back without its"),
        (sent.data[:-20], "cannot be read again"),
    ]:
        path.write_bytes(other)
        with pytest.raises(VerificationError, match=match):
            check_written(path, sent)
    path.write_bytes(sent.data)
    assert check_written(path, sent)[-1] == "every pixel"


BIG = 60000
BOMBS = {
    "png": png((1, 1), 8, 2, b"\0\0\0").replace(struct.pack(">II", 1, 1), struct.pack(">II", BIG, BIG)),
    "jpeg": b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", BIG, BIG) + b"\3" + b"\0" * 9 + b"\xff\xda\xff\xd9",
    "webp": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (BIG - 1).to_bytes(3, "little") * 2,
    "bmp": b"BM" + b"\0" * 8 + struct.pack("<IIiiHHIIiiII", 54, 40, BIG, BIG, 1, 24, 1, 0, 0, 0, 0, 0),
    "avif": b"\0\0\0\x18ftypavif" + b"\0" * 12 + b"\0\0\0\x14ispe\0\0\0\0" + struct.pack(">II", BIG, BIG)
            + b"\0\0\0\x0cav1C\x81\0\0\0mdat",
}  # fmt: skip


def _fixed(data: bytes) -> bytes:
    """The PNG with the checksum of its first chunk made right."""
    return data[:29] + struct.pack(">I", zlib.crc32(data[12:29])) + data[33:]


def _tiff_bomb() -> bytes:
    data = encoded(Picture(noise(3, np.uint8), Metadata(), TIFF), TIFF, Quality()).data
    return patched(patched(data, tiff.WIDTH, BIG), tiff.HEIGHT, BIG)


def _exr_bomb() -> bytes:
    data = exr.encode(noise(3, np.float32), Metadata(), Quality())
    window, large = struct.pack("<iiii", 0, 0, 36, 22), struct.pack("<iiii", 0, 0, BIG, 22)
    return data.replace(window, large)


@pytest.mark.parametrize("name", [*BOMBS, "tiff", "exr"])
def test_huge_headers_are_refused_before_decoding(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(images, "_decoded", decode)
    data = {"tiff": _tiff_bomb, "exr": _exr_bomb}[name]() if name not in BOMBS else BOMBS[name]
    (tmp_path / "a").write_bytes(_fixed(data) if name == "png" else data)
    with pytest.raises(InputError, match=r"its header says 6000[01]x(60000|23), the limit is 1048576 pixels"):
        read_picture(tmp_path / "a", LIMIT)


def _lied(**more: Any) -> bytes:
    data = encoded(Picture(noise(3, np.uint8), Metadata(), TIFF), TIFF, Quality()).data
    return patched(data, more["tag"], *more["values"])


HOSTILE = {
    "empty": (b"", "no known picture format"),
    "text": (b"hello", "no known picture format"),
    "a pickle": (b"\x80\x04\x95\x10", "no known picture format"),
    "jpeg xl": (b"\xff\x0a" + b"\0" * 20, "JPEG XL is not supported"),
    "png, nothing behind the mark": (b"\x89PNG\r\n\x1a\n", "cut short"),
    "png, no pixels": (png((1, 1), 8, 2, b"\0\0\0")[:33] + chunk(b"IEND", b""), "cannot be decoded|no picture"),
    "png, wrong checksum": (png((1, 1), 8, 2, b"\0\0\0")[:-20] + b"\0" * 20, "checksum"),
    "png, unknown colour type": (_fixed(png((1, 1), 8, 2, b"\0\0\0")[:25] + b"\5" + png((1, 1), 8, 2, b"000")[26:]),
                                 "header is damaged"),
    "png, two headers": (png((1, 1), 8, 2, b"\0\0\0", (b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0))),
                         "header is damaged"),
    "tiff, two widths": (b"II*\0\x08\0\0\0\2\0" + struct.pack("<HHII", 256, 4, 1, 9) * 2 + b"\0" * 4, "tag 256 twice"),
    "exr, two windows": (b"\x76\x2f\x31\x01\2\0\0\0" + b"w\0box2i\0\0\0\0\0" * 2 + b"\0", "twice what its w is"),
    "png, no width": (_fixed(png((1, 1), 8, 2, b"\0\0\0").replace(struct.pack(">II", 1, 1), struct.pack(">II", 0, 1))),
                      "0x1 pixels"),
    "jpeg, only a mark": (b"\xff\xd8\xff", "cut short"),
    "jpeg, of 12 bit": (b"\xff\xd8\xff\xc1\0\x11\x0c\0\1\0\1\3" + b"\0" * 9 + b"\xff\xda\xff\xd9", "of 12 bit"),
    "jpeg, no scan": (b"\xff\xd8\xff\xe0\0\4\0\0" * 2, "header is damaged|cut short"),
    "jpeg, endless fill": (b"\xff\xd8" + b"\xff" * 1000, "cut short"),
    "webp, longer than it is": (b"RIFF\xff\xff\xff\xffWEBPVP8X", "cut short"),
    "webp, no picture": (b"RIFF\x04\0\0\0WEBP", "no picture"),
    "webp, chunk beyond the end": (b"RIFF\x0c\0\0\0WEBPVP8L\xff\xff\xff\x7f", "cut short"),
    "tiff, directory beyond the end": (b"II*\0\xff\xff\xff\x7f", "cut short"),
    "tiff, big": (b"II+\0" + b"\0" * 12, "no known picture format"),
    "tiff, strips beyond the end": (_lied(tag=tiff.LENGTHS, values=(60000,)), "cut short"),
    "tiff, 7 channels": (_lied(tag=tiff.CHANNELS, values=(7,)), "7 channels"),
    "tiff, of Lab": (_lied(tag=tiff.MEANING, values=(8,)), "photometric 8"),
    "tiff, three inks": (_lied(tag=tiff.MEANING, values=(5,)), "photometric 5"),
    "bmp, of OS/2": (b"BM" + b"\0" * 12 + b"\x0c\0\0\0", "OS/2"),
    "bmp, no pixels": (b"BM" + b"\0" * 8 + struct.pack("<IIiiHHIIiiII", 54, 40, 9, 9, 1, 24, 0, 0, 0, 0, 0, 0), "cut"),
    "exr, no attributes": (b"\x76\x2f\x31\x01\2\0\0\0\0", "header is damaged"),
    "exr, several parts": (b"\x76\x2f\x31\x01\2\x10\0\0", "several parts"),
    "exr, a name without end": (b"\x76\x2f\x31\x01\2\0\0\0" + b"a" * 500, "header is damaged"),
    "exr, an attribute of 4 GB": (b"\x76\x2f\x31\x01\2\0\0\0a\0b\0\xff\xff\xff\xff", "cut short"),
    "avif, no sizes": (b"\0\0\0\x18ftypavif" + b"\0" * 40, "header is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_files_that_lie_are_refused(tmp_path: Path, name: str) -> None:
    data, reason = HOSTILE[name]
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(InputError, match=reason) as caught:
        read_picture(tmp_path / "a", LIMIT)
    assert str(tmp_path / "a") in str(caught.value)


def test_as_many_hostile_files_as_the_document_says() -> None:
    document = (Path(__file__).parents[2] / "docs" / "pictures.md").read_text(encoding="utf-8")
    assert f"{len(HOSTILE) + len(BOMBS) + 2} hostile files" in document


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="bytes are too many"):
        read_picture(path, LIMIT)


def test_texts_that_inflate_are_bounded(tmp_path: Path) -> None:
    bomb = zlib.compress(b" " * (15 << 20), 9)
    parts = [(b"zTXt", b"k\0\0" + bomb) for _ in range(40)] + [(b"iCCP", b"p\0\0" + zlib.compress(b"\0" * (20 << 20)))]
    (tmp_path / "a.png").write_bytes(png((1, 1), 8, 2, b"\1\2\3", *parts))
    metadata = read_picture(tmp_path / "a.png", LIMIT).metadata
    assert sum(len(text) for _, text in metadata.texts) <= 32 << 20
    assert metadata.icc is None


def test_tags_that_all_take_the_whole_file_are_refused(tmp_path: Path) -> None:
    entries = b"".join(struct.pack("<HHII", 40000 + number, 7, 100_000, 0) for number in range(2000))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 2000) + entries + b"\0" * 100_000
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(InputError, match="cut short"):
        read_picture(tmp_path / "a.tif", LIMIT)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".tif", ".bmp", ".exr", ".avif"])
def test_cut_and_damaged_files_are_refused_or_read_never_worse(tmp_path: Path, ending: str) -> None:
    kind = FORMATS[ending]
    dtype = np.float32 if kind is EXR else np.uint8
    whole = save(tmp_path / f"a{ending}", noise(3, dtype), everything(3)).read_bytes()
    path = tmp_path / "b"
    for cut in range(0, len(whole) - 2, max(1, len(whole) // 40)):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError):
            read_picture(path, LIMIT)
    chance = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[chance.integers(0, min(len(whole), 700))] ^= 1 << chance.integers(0, 8)
        path.write_bytes(damaged)
        try:
            picture = read_picture(path, LIMIT)
        except InputError:
            continue
        assert picture.width * picture.height <= LIMIT
