"""Arrays in, arrays out: `Upscaler` is the network of `vidsr upscale` without any files.

A frame goes the way that `pipeline` describes, through the same stages; planes of RGB or gray take the place of those
of a video. Alpha goes the same way as a gray picture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import chain, tee
from typing import Any, Literal, get_args, overload

import numpy as np

from .errors import DeviceError, UsageError
from .events import Emit, Notice, ignore
from .faces.batches import with_faces
from .faces.enhance import FaceEnhancer
from .faces.film import Film
from .faces.wanted import faces_of
from .frames import Batch, ColorTags, Orientation, PixelLayout, Plane, RawFrame, VideoTraits
from .media.alpha import is_even, resized_alpha
from .media.arrays import Array, Kind
from .models.load import load_model
from .options import parse
from .runtime.arrays import FloatsFromRGB, FloatsToRGB
from .runtime.choose import make_runtime
from .runtime.device import pick_device
from .runtime.engine import plan_engine
from .runtime.interface import Check, Runtime
from .runtime.memory import free_bytes
from .runtime.planes import FromRGB, ToRGB
from .runtime.transfer import Downloader, Uploader
from .sizes import Sizes, plan_sizes
from .stages.assemble import to_planes
from .stages.batch import group
from .stages.convert import to_rgb
from .stages.infer import Inference, clamped
from .stages.reuse import find_held
from .stages.tile import tiles

Alpha = Literal["model", "lanczos", "drop"]
"""How transparency is upscaled: as a gray picture by the network, by Lanczos, or not at all."""

Planes = tuple[Plane, ...]
Faces = FaceEnhancer | Film | None
"""What restores them: in pictures, in the frames of a film, or not at all."""

_TAGS = ColorTags(matrix=6, full_range=True)
"""Gray is made from RGB with the weights of BT.601, as in JPEG and in Real-ESRGAN."""


class Upscaler:
    """A network, loaded once, for arrays. Not for two threads at once.

    The parameters are the options of `vidsr upscale` by the same names; `emit` gets the events of `vidsr.events`, and
    `check` is called between any two layers and may raise to stop. On a CUDA device everything is queued on the
    current stream of the calling thread.

    Raises UsageError for values that are not allowed, WeightsError for weights that are missing or refused, DeviceError
    for a device that is absent.
    """

    def __init__(
        self,
        model: str = "animevideov3",
        *,
        device: str = "auto",
        precision: str = "auto",
        tile: Literal["auto"] | int = "auto",
        tile_pad: int | None = None,
        batch: Literal["auto"] | int = "auto",
        denoise: float | None = None,
        blend: Sequence[str] = (),
        runtime: str = "auto",
        passes: Literal["auto"] | int = "auto",
        prescale: str | None = None,
        face_enhance: str | None = None,
        face_weight: float = 1.0,
        face_detector: str = "retinaface-mobile",
        only_center_face: bool = False,
        emit: Emit = ignore,
        check: Check | None = None,
    ) -> None:
        self._options = parse(
            {
                "model": model,
                "device": device,
                "precision": precision,
                "tile": tile,
                "tile_pad": tile_pad,
                "batch": batch,
                "denoise": denoise,
                "blend": tuple(blend),
                "runtime": runtime,
                "passes": passes,
                "prescale": prescale,
                "face_enhance": face_enhance,
                "face_weight": face_weight,
                "face_detector": face_detector,
                "only_center_face": only_center_face,
            }
        )
        self._emit, self._check = emit, check
        self._told: set[str] = set()
        self._latest: list[Inference] = []
        self._key: tuple[int, int, int] | None = None
        self.device = pick_device(device)
        self.network = load_model(model, denoise=denoise, blend=tuple(blend), emit=emit)
        self.faces = faces_of(self._options, self.device, emit, check)
        """What restores faces, where that was asked for."""
        engine, _ = plan_engine(self.network, self._options, self.device, 64, 64)
        self._runner = make_runtime(engine.runtime, self.network, self.device, engine.precision, emit, check)

    @property
    def scale(self) -> int:
        """The network's own scale."""
        return self.network.scale

    @property
    def runner(self) -> Runtime:
        """How the network runs by now: float32 takes over where a faster way could not be trusted."""
        return self._latest[0].runner if self._latest else self._runner

    def enhance(
        self, image: Array, scale: float | None = None, *, size: tuple[int, int] | None = None, alpha: Alpha = "model"
    ) -> Array:
        """One picture, `scale` times larger: an array of the same kind and dtype. `image` is not changed.

        `image` is H W or H W 1 (gray), H W 2 (gray and alpha), H W 3 (RGB) or H W 4 (RGB and alpha); uint8, uint16 or
        float32, gamma-coded as pictures on screens are, 0 … 255, 0 … 65535 or 0 … 1; the dtype alone decides. Float
        values outside of [0, 1] are clipped, which is told; results are in [0, 1]. Alpha is straight: colours are not
        multiplied by it. The colour of wholly transparent pixels becomes that of the visible ones around them.

        `scale` is the network's own when None; other sizes are resampled from its result in float32. `size` is the
        final (width, height) instead. `alpha` "drop" leaves the last channel out. An alpha that is the same everywhere,
        such as an opaque one, costs nothing.

        Raises UsageError for other arrays, DeviceError when the smallest step does not fit in memory.
        """
        kind = Kind.of(image)
        [result] = self._upscaled(iter([image]), kind, self._sizes(kind, scale, size), alpha, "off", self.faces)
        return result

    @overload
    def upscale_frames(
        self,
        frames: Iterable[Array],
        scale: float | None = None,
        *,
        size: tuple[int, int] | None = None,
        alpha: Alpha = "model",
        reuse: str = "exact",
    ) -> Iterator[Array]: ...

    @overload
    def upscale_frames(
        self,
        frames: Iterable[tuple[Any, Array]],
        scale: float | None = None,
        *,
        size: tuple[int, int] | None = None,
        alpha: Alpha = "model",
        reuse: str = "exact",
    ) -> Iterator[tuple[Any, Array]]: ...

    def upscale_frames(
        self,
        frames: Iterable[Any],
        scale: float | None = None,
        *,
        size: tuple[int, int] | None = None,
        alpha: Alpha = "model",
        reuse: str = "exact",
    ) -> Iterator[Any]:
        """The frames of a film, one after another, each `scale` times larger and of the same kind, in the same order.

        A frame is an array as for `enhance`, or a pair (pts, array); then a pair comes out, with the same pts, which
        may be anything. All frames are of one shape and dtype. Frames are taken as results are asked for, a few ahead
        where the device computes several together; an array may be written again once the next is asked for.

        `reuse` is the option of that name: with "exact" only what a change can reach is computed, and the result is
        that of "off". Raises UsageError for a frame that is not of the kind of the first, and what `enhance` raises.
        """
        items = iter(frames)
        first = next(items, None)
        if first is None:
            return
        timed = isinstance(first, tuple)
        pts: deque[Any] = deque()

        def arrays() -> Iterator[Array]:
            for item in chain([first], items):
                if timed:
                    pts.append(item[0])
                yield item[1] if timed else item

        kind = Kind.of(first[1] if timed else first)
        film = self.faces and Film(self.faces)
        for result in self._upscaled(arrays(), kind, self._sizes(kind, scale, size), alpha, reuse, film):
            yield (pts.popleft(), result) if timed else result

    def sizes(
        self, width: int, height: int, scale: float | None = None, *, size: tuple[int, int] | None = None
    ) -> Sizes:
        """What becomes of pictures of that many pixels. Raises UsageError for sizes that are not allowed."""
        given = {"scale": scale, "size": size and f"{size[0]}x{size[1]}"}
        options = parse({**self._options.model_dump(), **given})
        layout = PixelLayout("rgb")
        return plan_sizes(VideoTraits(width, height, layout, _TAGS, Fraction(1)), options, self.scale)

    def _sizes(self, kind: Kind, scale: float | None, size: tuple[int, int] | None) -> Sizes:
        """The same for frames, which fit in memory. Raises DeviceError where they cannot.

        The picture and what the network makes of it are whole in memory, in float32: no smaller step helps there.
        """
        sizes = self.sizes(kind.width, kind.height, scale, size=size)
        result = sizes.before(sizes.passes, self.scale)
        parts = [sizes.native, result, *([] if result == sizes.final else [sizes.final])]
        needed, free = 3 * 4 * sum(width * height for width, height in parts), free_bytes(self.device)
        if needed > free:
            what = f"{kind.width}x{kind.height} by {self.network.name} to {result[0]}x{result[1]}"
            short = f"needs {needed / 1e9:.1f} GB of memory on {self.device}, {free / 1e9:.1f} GB are free"
            raise DeviceError(f"{what} {short}", "cut the picture, or take a network of a smaller scale")
        return sizes

    def _upscaled(
        self, frames: Iterator[Array], kind: Kind, sizes: Sizes, alpha: Alpha, reuse: str, faces: Faces
    ) -> Iterator[Array]:
        """Colour and alpha side by side; both are copies, for stages look back at what came before."""
        if alpha not in get_args(Alpha):
            raise UsageError(f"alpha={alpha!r} is not allowed, it must be one of {', '.join(get_args(Alpha))}")
        frames = map(partial(self._checked, kind), frames)
        if not kind.has_alpha or alpha == "drop":
            yield from map(
                kind.joined, self._planes(map(kind.colours, frames), kind, kind.is_gray, sizes, reuse, faces)
            )
            return
        pairs, others = tee((kind.colours(frame), kind.alpha(frame)) for frame in frames)
        colours = self._planes((colours for colours, _ in pairs), kind, kind.is_gray, sizes, reuse, faces)
        alphas = self._alphas((plane for _, plane in others), kind, sizes, alpha)
        for planes, plane in zip(colours, alphas, strict=True):
            yield kind.joined((*planes, plane))

    def _checked(self, kind: Kind, frame: Array) -> Array:
        kind.check(frame)
        if kind.is_float and (frame.min() < 0 or frame.max() > 1):
            self._tell_once("float values outside of [0, 1] are clipped")
        return frame

    def _alphas(self, planes: Iterable[Plane], kind: Kind, sizes: Sizes, way: Alpha) -> Iterator[Plane]:
        """Each alpha upscaled, one by one; an equal one is not computed again."""
        before = result = np.empty(0)
        for plane in planes:
            if not np.array_equal(plane, before):
                before, result = plane, self._alpha(plane, kind, sizes, way)
            yield result

    def _alpha(self, plane: Plane, kind: Kind, sizes: Sizes, way: Alpha) -> Plane:
        if is_even(plane):
            return np.full(sizes.final[::-1], plane[0, 0], kind.dtype)
        if way == "lanczos":
            return resized_alpha(plane, sizes.final)
        [(result,)] = self._planes([(plane,)], kind, True, sizes, "off")
        return result

    def _planes(
        self, frames: Iterable[Planes], kind: Kind, gray: bool, sizes: Sizes, reuse: str, faces: Faces = None
    ) -> Iterator[Planes]:
        """Planes of gray or of RGB through the stages, from `reuse` to `assemble`."""
        layout = PixelLayout("gray" if gray else "rgb", 8 if kind.dtype == np.uint8 else 16)
        to_tensor = (FloatsToRGB if kind.is_float else ToRGB)(layout, _TAGS, device=self.device)
        from_tensor = (FloatsFromRGB if kind.is_float else FromRGB)(layout, _TAGS, device=self.device, dither=False)
        passes = self._passes(kind, sizes, reuse)
        batch = passes[0].engine.batch
        raws = (RawFrame(planes, number) for number, planes in enumerate(frames))
        works, uploader = find_held(raws, reuse, layout), Uploader(self.device)
        batches = group(to_rgb(works, to_tensor, Orientation(), uploader, sizes.native), batch)
        upscale = partial(_passed, passes)
        results = with_faces(batches, upscale, faces) if faces else upscale(batches)
        downloader = Downloader(self.device, max(2, batch))
        for frame in to_planes(results, from_tensor, sizes.final, sizes.final, downloader):
            planes = frame.planes
            assert isinstance(planes[0], np.ndarray), "nothing asked for planes on the device"
            yield planes

    def _passes(self, kind: Kind, sizes: Sizes, reuse: str) -> list[Inference]:
        """For stills those of the last one, with what they learnt about memory, as long as they are of one size."""
        if kind.is_float and reuse.startswith("near"):
            raise UsageError(f"reuse={reuse!r} counts codes of 8 bits, and these frames are float32")
        key = (*sizes.native, sizes.passes) if reuse == "off" else None
        if not self._latest or key is None or key != self._key:
            before = [sizes.before(number, self.scale) for number in range(sizes.passes)]
            self._key, self._latest = key, [self._inference(*size, reuse) for size in before]
        return self._latest

    def _inference(self, width: int, height: int, reuse: str) -> Inference:
        options = parse({**self._options.model_dump(), "reuse": reuse})
        engine, notes = plan_engine(self.network, options, self.device, height, width)
        for note in notes:
            self._tell_once(note)
        return Inference(self.network, engine, self.runner, tiles, self._emit, self._check)

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._emit(Notice(text))


def _passed(passes: list[Inference], batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches through the network, as often as planned."""
    first, *later = passes
    results = first.upscaled(batches)
    for inference in later:
        results = inference.upscaled(clamped(results))
    return results
