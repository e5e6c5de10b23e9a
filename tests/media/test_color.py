"""What unknown colour tags are taken for, and the numbers of the standards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vidsr.errors import InputError
from vidsr.frames import ColorTags, PixelLayout
from vidsr.media import color

YUV420 = PixelLayout("yuv", 8, 1, 1)
YUV422 = PixelLayout("yuv", 10, 1, 0)
YUV444 = PixelLayout("yuv", 8)
RGB = PixelLayout("rgb", 8)
GRAY = PixelLayout("gray", 8)


def resolved(tags: ColorTags, layout: PixelLayout = YUV420, size: tuple[int, int] = (64, 48), codec: str = "h264"):
    return color.resolve(tags, layout, *size, codec)[0]


@pytest.mark.parametrize(
    ("size", "matrix"),
    [
        ((1280, 720), 1), ((1920, 1080), 1), ((1280, 534), 1), ((960, 720), 1), ((720, 576), 5), ((1024, 576), 5),
        ((720, 480), 6), ((1278, 718), 6), ((320, 240), 6),
    ],
)  # fmt: skip
def test_an_unknown_matrix_is_guessed_from_the_size(size, matrix):
    assert resolved(ColorTags(), size=size) == ColorTags(matrix, False, matrix, {5: 6}.get(matrix, matrix), "left")


@pytest.mark.parametrize("size", [(720, 480), (1920, 1080)])
@pytest.mark.parametrize("primaries", [1, 5, 6, 7, 9])
def test_known_primaries_decide_the_matrix_before_the_size_does(primaries, size):
    known = resolved(ColorTags(primaries=primaries), size=size)
    assert (known.matrix, known.primaries) == (primaries, primaries)


@pytest.mark.parametrize("transfer", [16, 18])
def test_an_hdr_transfer_means_bt2020(transfer):
    known = resolved(ColorTags(transfer=transfer))
    assert known == ColorTags(9, False, 9, transfer, "topleft")


@pytest.mark.parametrize("size", [(720, 480), (1920, 1080)])
def test_jpeg_is_what_jfif_says_at_every_size(size):
    assert resolved(ColorTags(), size=size, codec="mjpeg") == ColorTags(5, True, 1, 13, "center")


def test_webp_is_limited_bt601():
    assert resolved(ColorTags(), size=(1920, 1080), codec="webp") == ColorTags(5, False, 1, 13, "center")


def test_rgb_is_full_range_srgb_without_a_matrix():
    assert resolved(ColorTags(matrix=1), RGB, codec="png") == ColorTags(0, True, 1, 13, None)


def test_limited_range_rgb_stays_so_when_the_file_says_it():
    assert resolved(ColorTags(matrix=0, full_range=False), RGB).full_range is False


@pytest.mark.parametrize(("codec", "full"), [("png", True), ("tiff", True), ("ffv1", False), ("h264", False)])
def test_gray_is_full_range_in_pictures_and_limited_in_video(codec, full):
    assert resolved(ColorTags(), GRAY, codec=codec).full_range is full


@pytest.mark.parametrize(
    ("codec", "layout", "tags", "siting"),
    [
        ("h264", YUV420, ColorTags(), "left"),
        ("mpeg2video", YUV420, ColorTags(), "left"),
        ("vp9", YUV422, ColorTags(), "left"),
        ("mpeg1video", YUV420, ColorTags(), "center"),
        ("mjpeg", YUV422, ColorTags(), "center"),
        ("hevc", PixelLayout("yuv", 10, 1, 1), ColorTags(matrix=9), "topleft"),
        ("hevc", YUV422, ColorTags(matrix=9), "left"),
        ("hevc", YUV420, ColorTags(matrix=9, siting="left"), "left"),
        ("dvvideo", YUV420, ColorTags(), "topleft"),
        ("dvvideo", PixelLayout("yuv", 8, 2, 0), ColorTags(), "left"),
        ("h264", YUV444, ColorTags(siting="center"), None),
        ("png", RGB, ColorTags(), None),
    ],
)
def test_siting(codec, layout, tags, siting):
    assert resolved(tags, layout, codec=codec).siting == siting


def test_every_guess_is_named_and_nothing_else():
    _, notes = color.resolve(ColorTags(), YUV420, 1280, 720, "h264")
    assert notes == (
        "matrix: bt709, guessed from the height 720",
        "range: limited, guessed from the family yuv",
        "primaries: bt709, guessed from the matrix bt709",
        "transfer: bt709, guessed from the matrix bt709",
        "chroma siting: left, guessed from the codec h264",
    )
    said = ColorTags(5, True, 1, 13, "top")
    assert color.resolve(said, YUV420, 1280, 720, "h264") == (said, ())


@pytest.mark.parametrize("layout", [YUV420, YUV444, RGB, GRAY])
@pytest.mark.parametrize("codec", ["h264", "mjpeg", "png", ""])
def test_resolving_twice_changes_nothing_and_leaves_nothing_open(layout, codec):
    once, _ = color.resolve(ColorTags(), layout, 640, 480, codec)
    assert color.resolve(once, layout, 640, 480, codec) == (once, ())
    assert once.full_range is not None
    assert 2 not in (once.matrix, once.primaries, once.transfer)


@pytest.mark.parametrize("matrix", [0, 3])
def test_tags_that_cannot_be_true_count_as_unknown(matrix):
    known, notes = color.resolve(ColorTags(matrix=matrix), YUV420, 1920, 1080, "h264")
    assert known.matrix == 1
    assert notes[0].startswith("matrix: bt709, guessed")


@pytest.mark.parametrize(
    ("matrix", "name"), [(8, "ycgco"), (10, "bt2020c"), (11, "smpte2085"), (12, "chroma-derived-nc"), (14, "ictcp")]
)
def test_matrices_that_cannot_be_converted_are_refused_by_name(matrix, name):
    with pytest.raises(InputError, match=f"{name} .*code {matrix}.*allowed are bt709, fcc") as caught:
        resolved(ColorTags(matrix=matrix))
    assert caught.value.hint
    assert resolved(ColorTags(matrix=matrix), GRAY).matrix == 6


@pytest.mark.parametrize(
    ("matrix", "weights"),
    [
        (1, (0.2126, 0.0722)), (4, (0.30, 0.11)), (5, (0.299, 0.114)), (6, (0.299, 0.114)), (7, (0.212, 0.087)),
        (9, (0.2627, 0.0593)),
    ],
)  # fmt: skip
def test_luma_weights(matrix, weights):
    assert color.luma_weights(matrix) == weights


@pytest.mark.parametrize(
    ("depth", "full", "chroma", "expected"),
    [
        (8, False, False, (16, 219)), (8, False, True, (128, 224)), (8, True, False, (0, 255)),
        (8, True, True, (128, 255)),
        (10, False, False, (64, 876)), (10, False, True, (512, 896)), (10, True, True, (512, 1023)),
        (12, False, False, (256, 3504)), (12, False, True, (2048, 3584)), (16, True, False, (0, 65535)),
    ],
)  # fmt: skip
def test_code_ranges_of_the_standards(depth, full, chroma, expected):
    assert color.code_range(PixelLayout("yuv", depth), full, chroma) == expected


def test_names():
    assert color.matrix_name(9) == "bt2020nc"
    assert color.matrix_name(6) == "smpte170m"
    assert color.primaries_name(9) == "bt2020"
    assert [color.transfer_name(code) for code in (16, 18, 77)] == ["smpte2084", "arib-std-b67", "77"]
    assert [color.range_name(full) for full in (True, False, None)] == ["full", "limited", "unknown"]


def test_for_layout_keeps_meaning_between_yuv_layouts():
    said = ColorTags(5, True, 1, 13, "center")
    assert color.for_layout(said, YUV420, PixelLayout("yuv", 10, 1, 1), 1920, 1080) == said
    assert color.for_layout(said, YUV420, YUV444, 1920, 1080) == replace(said, siting=None)
    assert color.for_layout(replace(said, siting=None), YUV444, YUV420, 1920, 1080) == replace(said, siting="left")


def test_for_layout_decides_the_matrix_anew_between_families():
    srgb = ColorTags(0, True, 1, 13)
    assert color.for_layout(srgb, RGB, YUV420, 640, 480) == ColorTags(1, False, 1, 13, "left")
    assert color.for_layout(ColorTags(6, False, 6, 6, "left"), YUV420, RGB, 640, 480) == ColorTags(0, True, 6, 6)
