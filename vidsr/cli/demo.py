"""`vidsr demo`: draw a short cartoon with sound, upscale it, and put the two side by side."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import OutputError
from .progress import current, listening

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIZE = (256, 144)
FRAME_RATE = 24
SHOWN = (0.19, 0.93, 0.22, 0.98)
"""Part of the picture in the comparison: left, right, top, bottom as fractions."""
CAPTION = 44
"""Height in pixels of the strip under the comparison."""


@click.command()
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), default=Path("vidsr-demo"), show_default=True,
    help="Folder for the clip, its upscaled version and the picture.",
)  # fmt: skip
@click.option(
    "--frames", type=click.IntRange(1, 2400), default=48, show_default=True, help="Length in frames of 1/24 s."
)
def demo(folder: Path, frames: int) -> None:
    """Upscale a short cartoon of its own drawing.

    It is drawn with a tune and made four times larger with animevideov3; a picture shows the difference.
    """
    from .. import api
    from .upscale import tell

    clip, result, picture = (folder / name for name in ("cartoon.mp4", "cartoon_x4.mp4", "before-after.png"))
    _make_folder(folder)
    make_clip(clip, frames)
    with listening() as emit:
        report = api.upscale(clip, result, model="animevideov3", overwrite=True, emit=emit)
    middle = min(10, frames - 1)
    save_png(picture, before_after(read_frame(clip, middle), read_frame(result, middle)))
    tell(report)
    if not current().quiet:
        for words, path in (("clip", clip), ("upscaled", result), ("before and after", picture)):
            click.echo(f"{words + ':':<17} {path}")
    click.get_current_context().exit(report.exit_code)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder {folder} cannot be made: {error.strerror}", "name another with -o") from error


def make_clip(path: Path, frames: int) -> None:
    """Write the cartoon as a small, slightly compressed MP4: H.264 and AAC. Replaces the file at `path`."""
    import av

    from .cartoon import RATE, frame

    try:
        with av.open(str(path), "w") as container:
            video: Any = container.add_stream("libx264", rate=FRAME_RATE, options={"crf": "23", "tune": "animation"})
            video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
            video.codec_context.colorspace = video.codec_context.color_primaries = video.codec_context.color_trc = 1
            video.codec_context.color_range = 1
            audio: Any = container.add_stream("aac", rate=RATE, layout="stereo")
            for index in range(frames):
                image = av.VideoFrame.from_ndarray(frame(index, *SIZE), format="rgb24")
                container.mux(video.encode(image.reformat(format="yuv420p", dst_colorspace=1)))
            container.mux(video.encode(None))
            for sound in _sound(RATE * frames // FRAME_RATE):
                container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    except OSError as error:
        raise OutputError(f"clip {path} cannot be written: {error.strerror}", "name another folder with -o") from error


def _sound(samples: int) -> Any:
    """The tune in frames of 1024 samples, as AAC takes them."""
    import av
    import numpy as np

    from .cartoon import RATE, melody

    wave = melody(samples)
    for start in range(0, samples, 1024):
        part = np.ascontiguousarray(wave[:, start : start + 1024])
        sound = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
        sound.sample_rate, sound.pts, sound.time_base = RATE, start, Fraction(1, RATE)
        yield sound


def read_frame(path: Path, index: int) -> NDArray[np.uint8]:
    """Frame `index` of a clip: H W 3, uint8, RGB."""
    import av
    import numpy as np

    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == index:
                return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    raise OutputError(f"{path} holds no frame {index}")


def before_after(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same part of both pictures side by side, `before` enlarged by cubic interpolation: H W 3, uint8, RGB."""
    import cv2
    import numpy as np

    height, width = after.shape[:2]
    enlarged = np.asarray(cv2.resize(before, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    left, right, top, bottom = SHOWN
    rows, columns = slice(int(top * height), int(bottom * height)), slice(int(left * width), int(right * width))
    halves = [_captioned(image[rows, columns], text) for image, text in ((enlarged, "bicubic"), (after, "vidsr"))]
    return np.concatenate([halves[0], np.full_like(halves[0][:, :8], 255), halves[1]], axis=1)


def _captioned(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    import cv2
    import numpy as np

    whole = np.full((image.shape[0] + CAPTION, image.shape[1], 3), 255, np.uint8)
    whole[: image.shape[0]] = image
    at = (8, image.shape[0] + CAPTION - 14)
    cv2.putText(whole, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (40, 40, 40), 2, cv2.LINE_AA)
    return whole


def save_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write H W 3, uint8, RGB. Raises OutputError."""
    import cv2

    from ..fs import write_atomically

    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    write_atomically(path, data.tobytes())
