"""What code values mean: the numbers of ITU-T H.273, and the one rule for what a file does not say.

Sources: ITU-T H.273 (code points, luma weights, sample ranges), ITU-R BT.601, BT.709, BT.2020 and BT.2100, JFIF 1.02.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import InputError
from ..frames import ColorTags, PixelLayout, Siting

RGB, BT709, UNSPECIFIED, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020NC = 0, 1, 2, 4, 5, 6, 7, 9
"""Matrix code points; those that name a system (1, 4 … 7, 9) mean the same system among the primaries."""

_SRGB, _BT2020_10, _BT2020_12, _PQ, _HLG = 13, 14, 15, 16, 18

_LUMA = {
    BT709: (0.2126, 0.0722),
    FCC: (0.30, 0.11),
    BT470BG: (0.299, 0.114),
    SMPTE170M: (0.299, 0.114),
    SMPTE240M: (0.212, 0.087),
    BT2020NC: (0.2627, 0.0593),
}
_MATRICES = {
    0: "gbr", 1: "bt709", 2: "unknown", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco",
    9: "bt2020nc", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp",
    15: "ipt-c2", 16: "ycgco-re", 17: "ycgco-ro",
}  # fmt: skip
_PRIMARIES = {
    1: "bt709", 2: "unknown", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
    10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
_TRANSFERS = {
    1: "bt709", 2: "unknown", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100",
    10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12",
    16: "smpte2084", 17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
_USUAL_TRANSFER = {BT709: 1, FCC: 4, BT470BG: 6, SMPTE170M: 6, SMPTE240M: 7, BT2020NC: _BT2020_10}
"""BT.601 has one curve for both line counts (6); code point 5 is a display gamma of 2.8 that no encoder meant."""

_JFIF = frozenset({"mjpeg", "mjpegb", "ljpeg"})
_PICTURES = _JFIF | {
    "png", "apng", "bmp", "tiff", "webp", "gif", "jpeg2000", "jpegls", "jpegxl", "libjxl", "targa", "sgi", "pcx",
    "pam", "pgm", "pgmyuv", "pbm", "ppm", "qoi", "sunrast",
}  # fmt: skip
_CENTERED = _JFIF | {"webp", "mpeg1video", "h261", "h263", "flv1", "theora", "vp3"}


def matrix_name(code: int) -> str:
    """FFmpeg's name of a matrix code point, such as `bt2020nc`; the number itself when it has none."""
    return _MATRICES.get(code, str(code))


def primaries_name(code: int) -> str:
    """FFmpeg's name of a primaries code point, such as `bt2020`; the number itself when it has none."""
    return _PRIMARIES.get(code, str(code))


def transfer_name(code: int) -> str:
    """FFmpeg's name of a transfer code point, such as `smpte2084`; the number itself when it has none."""
    return _TRANSFERS.get(code, str(code))


def range_name(full_range: bool | None) -> str:
    """`full`, `limited` or `unknown`."""
    return {True: "full", False: "limited", None: "unknown"}[full_range]


def luma_weights(matrix: int) -> tuple[float, float]:
    """(Kr, Kb) of a matrix code point; Kg is 1 - Kr - Kb. Raises InputError for matrices that have none."""
    if matrix not in _LUMA:
        allowed = ", ".join(matrix_name(code) for code in _LUMA)
        raise InputError(
            f"color matrix {matrix_name(matrix)} (H.273 code {matrix}) is not supported; allowed are {allowed}",
            "convert the input to one of these first, or correct its tag if it is wrong",
        )
    return _LUMA[matrix]


def code_range(layout: PixelLayout, full_range: bool, chroma: bool) -> tuple[int, int]:
    """(offset, span): the code of 0 and how many codes lie between 0 and 1 (chroma: between -0.5 and 0.5).

    H.273 equations 20 … 31 for any depth: limited luma, and RGB, is 16 + 219 E at 8 bits and shifted up above,
    limited chroma is 128 + 224 E; full range spans all 2**depth - 1 codes.
    """
    shift = layout.depth - 8
    if full_range:
        return (128 << shift if chroma else 0), layout.peak
    return (128 << shift, 224 << shift) if chroma else (16 << shift, 219 << shift)


def resolve(
    tags: ColorTags, layout: PixelLayout, width: int, height: int, codec: str = ""
) -> tuple[ColorTags, tuple[str, ...]]:
    """`tags` with every unknown decided, and one line such as `range: limited, guessed from …` for each guess.

    * Matrix. RGB has none (0). Otherwise JPEG and WebP are BT.601 by their own standards; then primaries that name
      a system decide (BT.709, BT.601, SMPTE 240M, BT.2020), then a PQ or HLG transfer (BT.2020); then the size:
      BT.709 from 720 lines or 1280 columns on, BT.601 below. A tag 0 on YUV and the reserved 3 count as unknown.
    * Range. RGB, JPEG and gray pictures are full; everything else is limited.
    * Primaries and transfer. Pictures and RGB are sRGB; video has those of its matrix.
    * Siting. None where chroma is not subsampled. JPEG, WebP, MPEG-1, H.261, H.263 and Theora have it in the centre;
      BT.2020 4:2:0 and DV 4:2:0 at the top left; everything else at the left, as H.264, HEVC, MPEG-2 and VP9.

    Resolving twice changes nothing. `width` and `height` are in pixels, `codec` is FFmpeg's name of the decoder.
    Raises InputError for a matrix that cannot be converted, such as bt2020c or ictcp.
    """
    matrix, why_matrix = _matrix(tags, layout, width, height, codec)
    full_range, why_range = _range(tags, layout, codec)
    tags = replace(tags, matrix=matrix, full_range=full_range)
    primaries, why_primaries = _primaries(tags, layout, codec)
    transfer, why_transfer = _transfer(tags, layout, codec)
    siting, why_siting = _siting(tags, layout, codec)
    guesses = (
        (f"matrix: {matrix_name(matrix)}", why_matrix),
        (f"range: {range_name(full_range)}", why_range),
        (f"primaries: {primaries_name(primaries)}", why_primaries),
        (f"transfer: {transfer_name(transfer)}", why_transfer),
        (f"chroma siting: {siting}", why_siting),
    )
    known = replace(tags, primaries=primaries, transfer=transfer, siting=siting)
    return known, tuple(f"{what}, guessed from {why}" for what, why in guesses if why)


def for_layout(color: ColorTags, source: PixelLayout, target: PixelLayout, width: int, height: int) -> ColorTags:
    """The resolved `color` of a `source` picture after its conversion to `target` of `width` times `height` pixels.

    Between YUV layouts only the siting may have to be found. From or to RGB or gray, matrix and range are decided
    anew by the rule of `resolve`; primaries and transfer always stay, because the conversion leaves the light alone.
    """
    if source.family != target.family:
        color = replace(color, matrix=UNSPECIFIED, full_range=None)
    return resolve(color, target, width, height)[0]


# Each of the following returns a value and why it was guessed; no reason when it was said or needs no guess.


def _matrix(tags: ColorTags, layout: PixelLayout, width: int, height: int, codec: str) -> tuple[int, str]:
    if layout.family == "rgb":
        return RGB, ""
    if tags.matrix in _LUMA:
        return tags.matrix, ""
    if layout.family == "yuv" and tags.matrix not in (RGB, UNSPECIFIED, 3):
        luma_weights(tags.matrix)  # raises; on gray such a tag has no effect
    if codec in _JFIF or codec == "webp":
        return BT470BG, f"the codec {codec}"
    if tags.primaries in (BT709, BT470BG, SMPTE170M, SMPTE240M, BT2020NC):
        return tags.primaries, f"the primaries {primaries_name(tags.primaries)}"
    if tags.transfer in (_PQ, _HLG):
        return BT2020NC, f"the transfer {transfer_name(tags.transfer)}"
    if height >= 720:
        return BT709, f"the height {height}"
    if width >= 1280:
        return BT709, f"the width {width}"
    return (BT470BG if height == 576 else SMPTE170M), f"the height {height}"


def _range(tags: ColorTags, layout: PixelLayout, codec: str) -> tuple[bool, str]:
    if tags.full_range is not None:
        return tags.full_range, ""
    if layout.family == "rgb":
        return True, ""
    if codec in _JFIF or (layout.family == "gray" and codec in _PICTURES):
        return True, f"the codec {codec}"
    return False, f"the family {layout.family}"


def _primaries(tags: ColorTags, layout: PixelLayout, codec: str) -> tuple[int, str]:
    if tags.primaries not in (UNSPECIFIED, 0, 3):
        return tags.primaries, ""
    if codec in _PICTURES or layout.family == "rgb":
        return BT709, f"the codec {codec}" if codec in _PICTURES else "the family rgb"
    primaries = tags.matrix if tags.matrix in _LUMA else BT709
    return primaries, f"the matrix {matrix_name(tags.matrix)}"


def _transfer(tags: ColorTags, layout: PixelLayout, codec: str) -> tuple[int, str]:
    if tags.transfer not in (UNSPECIFIED, 0, 3):
        return tags.transfer, ""
    if codec in _PICTURES or layout.family == "rgb":
        return _SRGB, f"the codec {codec}" if codec in _PICTURES else "the family rgb"
    transfer = _USUAL_TRANSFER.get(tags.matrix, 1)
    if transfer == _BT2020_10 and layout.depth >= 12:
        transfer = _BT2020_12
    return transfer, f"the matrix {matrix_name(tags.matrix)}"


def _siting(tags: ColorTags, layout: PixelLayout, codec: str) -> tuple[Siting | None, str]:
    if layout.log2_w == 0 and layout.log2_h == 0:
        return None, ""
    if tags.siting is not None:
        return tags.siting, ""
    if codec in _CENTERED:
        return "center", f"the codec {codec}"
    is_420 = layout.log2_w == 1 and layout.log2_h == 1
    if is_420 and tags.matrix == BT2020NC:
        return "topleft", f"the matrix {matrix_name(tags.matrix)}"
    if is_420 and codec == "dvvideo":
        return "topleft", f"the codec {codec}"
    return "left", f"the codec {codec}" if codec else "the subsampling"
