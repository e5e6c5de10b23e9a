"""What is measured at a validation, on what, when training stops by it, and what is exported. Imports no torch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from vidsr.errors import near_miss

from ..losses.options import DISTS, LPIPS, Anime, Perceptual
from ..strict import Strict

Better = Literal["higher", "lower"]


class _Measure(Strict):
    """What every metric says of itself: its name in tables, and which way is better."""

    better: ClassVar[Better] = "lower"

    @property
    def name(self) -> str:
        """As in tables, curves and `early_stop.metric`."""
        return self.kind.replace("-", "_")  # type: ignore[attr-defined, no-any-return]


class Psnr(_Measure):
    """Peak signal-to-noise ratio in dB, the mean over frames."""

    kind: Literal["psnr"] = "psnr"
    better: ClassVar[Better] = "higher"
    channel: Literal["y", "rgb"] = "y"
    """Luma of BT.601 in limited range, as papers report it, or all three channels."""
    border: Annotated[int, Field(ge=0)] | None = None
    """Pixels left out at each side; the scale of the network when not given, as papers do."""

    @property
    def name(self) -> str:
        """psnr_y or psnr_rgb."""
        return f"psnr_{self.channel}"


class Ssim(_Measure):
    """Structural similarity in [-1, 1] with a Gaussian window of 11x11 and sigma 1.5, the mean over frames."""

    kind: Literal["ssim"] = "ssim"
    better: ClassVar[Better] = "higher"
    channel: Literal["y", "rgb"] = "y"
    """Luma of BT.601 in limited range, as papers report it, or the mean of the three channels."""
    border: Annotated[int, Field(ge=0)] | None = None
    """Pixels left out at each side; the scale of the network when not given, as papers do."""

    @property
    def name(self) -> str:
        """ssim_y or ssim_rgb."""
        return f"ssim_{self.channel}"


class Features(_Measure):
    """Distance in the features of a network, 0 when equal: LPIPS, DISTS, or the perceptual losses as measures."""

    kind: Literal["features"] = "features"
    by: Annotated[LPIPS | DISTS | Perceptual | Anime, Field(discriminator="kind")]
    """The loss, with its files; its `weight` and `on` play no part here."""
    every: Annotated[int, Field(ge=1)] = 1
    """Every how many frames of a clip is measured, from the first on: these networks are large."""

    @property
    def name(self) -> str:
        """That of the loss: lpips, dists, perceptual or anime."""
        return self.by.kind


class Niqe(_Measure):
    """How far the statistics of a picture are from those of pristine pictures; needs no ground truth."""

    kind: Literal["niqe"] = "niqe"
    model: Path
    """.npz with the statistics of pristine pictures: `mu` and `cov`, or `mu_pris_param` and `cov_pris_param`.
    docs/training.md says how to make one of a folder of pictures."""
    border: Annotated[int, Field(ge=0)] | None = None
    """Pixels left out at each side; the scale of the network when not given."""


class WarpingError(_Measure):
    """Mean squared difference, in [0, 1], of a frame and the next one brought back by optical flow, where nothing is
    hidden."""

    kind: Literal["warping-error"] = "warping-error"


class Tof(_Measure):
    """Mean difference, in pixels, of the optical flow of the output from that of the ground truth."""

    kind: Literal["tof"] = "tof"


class Flicker(_Measure):
    """What the output changes, in codes of 8 bits, beyond what the ground truth does, where that stands still."""

    kind: Literal["flicker"] = "flicker"


MetricOptions = Annotated[
    Psnr | Ssim | Features | Niqe | WarpingError | Tof | Flicker,
    Field(discriminator="kind"),
]


class _Set(Strict):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """As in tables and file names."""

    @model_validator(mode="after")
    def _has_something(self) -> _Set:
        if self.gt is None and self.lq is None:  # type: ignore[attr-defined]
            raise ValueError(f"set {self.name} has neither gt nor lq, one of them is needed")
        return self


class PictureSet(_Set):
    """Folders of pictures, or single ones."""

    kind: Literal["pictures"] = "pictures"
    gt: Path | None = None
    """Ground truth. Without it only metrics that need none are measured."""
    lq: Path | None = None
    """What the network gets: pictures of the same names. Made from `gt` by the run's degradations when not given, the
    same at every validation."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Pictures to take, the first by name; all when not given."""


class VideoSet(_Set):
    """Consecutive frames of a video file."""

    kind: Literal["video"] = "video"
    gt: Path | None = None
    """Ground truth. Without it only metrics that need none are measured."""
    lq: Path | None = None
    """What the network gets: a video of the same times. Made from `gt` by the run's degradations when not given, the
    same at every validation."""
    start: Annotated[float, Field(ge=0)] = 0.0
    """Seconds from the beginning."""
    frames: Annotated[int, Field(ge=1, le=1000)] = 24
    """How many; they are in memory all at once."""


ValidationSet = Annotated[PictureSet | VideoSet, Field(discriminator="kind")]


class EarlyStop(Strict):
    """When a run ends before its last iteration."""

    metric: str
    """The name of a metric, such as psnr_y, which means the mean over the sets; or SET/METRIC."""
    patience: Annotated[int, Field(ge=1)] = 5
    """Validations without a gain after which training stops."""
    least_gain: Annotated[float, Field(ge=0)] = 0.0
    """A smaller step than this is no gain."""


class Validation(Strict):
    """What is measured while training."""

    every: Annotated[int, Field(ge=1)] = 5000
    """Iterations between two validations; one more is made before the first iteration, and one at the end."""
    sets: tuple[ValidationSet, ...] = ()
    """What it is measured on."""
    metrics: tuple[MetricOptions, ...] = (Psnr(), Ssim(), WarpingError(), Tof(), Flicker())
    """What is measured; those that an item does not allow are left out for it."""
    strips: Annotated[int, Field(ge=0)] = 2
    """Pictures of each set that are shown as input, before, after and ground truth, side by side."""
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "fp32"
    """Number format of the network; fp32 compares best between machines."""
    best: str | None = None
    """The metric by which the best checkpoint is kept; that of `early_stop`, or else the first one, when not given."""
    early_stop: EarlyStop | None = None
    """When the run ends before its last iteration."""

    @model_validator(mode="after")
    def _consistent(self) -> Validation:
        for what, names in (("sets", self.set_names), ("metrics", self.metric_names)):
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise ValueError(f"{what}: {', '.join(twice)} stands there twice")
        stop = self.early_stop.metric if self.early_stop else None
        for where, name in (("best", self.best), ("early_stop.metric", stop)):
            if name is not None and name not in self.allowed:
                close = near_miss(name, self.allowed)
                raise ValueError(f"{where}: {name!r} is not measured{close}; {', '.join(self.allowed)} are")
        return self

    @property
    def set_names(self) -> list[str]:
        """Of the sets, in order."""
        return [item.name for item in self.sets]

    @property
    def metric_names(self) -> list[str]:
        """Of the metrics, in order."""
        return [item.name for item in self.metrics]

    @property
    def allowed(self) -> list[str]:
        """What `Validator.run` may give: METRIC for the mean over the sets, and SET/METRIC."""
        return self.metric_names + [f"{one}/{name}" for one in self.set_names for name in self.metric_names]

    def direction(self, name: str) -> Better:
        """Which way `name`, one of `allowed`, is better."""
        return next(item.better for item in self.metrics if item.name == name.rpartition("/")[2])

    @property
    def deciding(self) -> str | None:
        """The name by which checkpoints are compared; None when nothing is measured."""
        if not self.sets or not self.metrics:
            return None
        if self.best or not self.early_stop:
            return self.best or self.metrics[0].name
        return self.early_stop.metric


class Export(Strict):
    """What a finished run leaves for `vidsr upscale`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")] | None = None
    """The name for `vidsr upscale --model`; that of the run when not given."""
    weights: Literal["ema", "swa", "net"] = "ema"
    """The running average of the weights, their mean late in the run, or those of the iteration itself, which also
    stand in for an average that the run does not have."""
    checkpoint: Literal["best", "last"] = "best"
    """Best by `validation.best`, or the last."""
    onnx: bool = True
    """Write an ONNX model too, compared with the network."""
    half: bool = False
    """Write the weights as float16."""
    register_name: bool = True
    """Keep the network under its name, so that `vidsr upscale --model NAME` finds it."""
    licence: str = "unknown"
    """Of the weights; that of the data and of the network they started from have a say in it."""
