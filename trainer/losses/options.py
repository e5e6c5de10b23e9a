"""The losses and their arguments. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..strict import Strict

Target = Literal["gt", "usm"]
"""What the output is compared with: the ground truth, or the sharpened one."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{8,64}$")]
VGGLayer = Annotated[str, Field(pattern=r"^(conv|relu)[1-5]_[1-4]$")]
Stage = Literal["stem", "stage1", "stage2", "stage3", "stage4"]


class _Loss(Strict):
    weight: Positive = 1.0
    """Factor in the sum of all losses."""
    on: Target = "gt"
    """Compare with the ground truth, or with the sharpened one."""


class _Measured(_Loss):
    """A loss in the features of a network that others trained."""

    weights: Path | None = None
    """File of the network; without it the published file in the folder of weights."""
    sha256: Hash | None = None
    """Expected SHA-256 of that file, or its beginning; that of the published file when not given."""


class L1(_Loss):
    """Mean absolute difference."""

    kind: Literal["l1"] = "l1"


class Charbonnier(_Loss):
    """Mean of sqrt(d² + eps): L1 that is smooth at zero."""

    kind: Literal["charbonnier"] = "charbonnier"
    eps: Positive = 1e-12
    """Square of the difference at which it turns from quadratic to linear."""


class Huber(_Loss):
    """Quadratic below `delta`, linear above."""

    kind: Literal["huber"] = "huber"
    delta: Positive = 0.1
    """Difference at which it turns, in units of the range of pictures (1)."""


class _Structural(_Loss):
    window: int = Field(11, ge=3, le=33)
    """Side of the Gaussian window in pixels, an odd number."""
    sigma: Positive = 1.5
    """Of the Gaussian window, in pixels."""

    @model_validator(mode="after")
    def _odd(self) -> _Structural:
        if self.window % 2 == 0:
            raise ValueError(f"window: {self.window} is even, odd numbers are allowed")
        return self


class SSIM(_Structural):
    """1 - SSIM."""

    kind: Literal["ssim"] = "ssim"


class MSSSIM(_Structural):
    """1 - MS-SSIM."""

    kind: Literal["ms-ssim"] = "ms-ssim"
    scales: int = Field(5, ge=1, le=5)
    """Halvings and one; the crop's side is at least window * 2^(scales - 1) pixels."""


class FFT(_Loss):
    """L1 between the Fourier transforms, real and imaginary parts apart."""

    kind: Literal["fft"] = "fft"
    norm: Literal["ortho", "backward"] = "ortho"
    """`ortho` makes the loss independent of the size of the crop; `backward` is the plain sum that some recipes use."""


class FocalFrequency(_Loss):
    """Squared difference of the spectra, weighted by itself: hard frequencies count most."""

    kind: Literal["focal-frequency"] = "focal-frequency"
    alpha: Positive = 1.0
    """Exponent of the weights."""
    patches: int = Field(1, ge=1, le=64)
    """Parts per side that are transformed apart; the crop's sides are multiples of it."""
    log: bool = False
    """Logarithm of the weights, which makes them more even."""
    whole_batch: bool = False
    """Scale the weights by the largest of the batch, not of each picture."""


REFERENCE_LAYERS = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}


class Perceptual(_Measured):
    """Distance in the features of VGG, before the activations, as Real-ESRGAN has it."""

    kind: Literal["perceptual"] = "perceptual"
    trunk: Literal["vgg19", "vgg16", "vgg16-caffe"] = "vgg19"
    """vgg19 and vgg16 are torchvision's, vgg16-caffe has the weights of its authors."""
    layers: dict[VGGLayer, Positive] = Field(REFERENCE_LAYERS, min_length=1)
    """Weight of each layer."""
    criterion: Literal["l1", "l2"] = "l1"
    """Mean absolute or mean squared difference of features."""
    style: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Weight of the same distance between the Gram matrices, added."""
    unit: bool = False
    """Divide the features at each place by their length: for trunks whose features have thousands, as vgg16-caffe."""

    @model_validator(mode="after")
    def _known(self) -> Perceptual:
        deepest = (2, 2, 4, 4, 4) if self.trunk == "vgg19" else (2, 2, 3, 3, 3)
        wrong = [name for name in self.layers if int(name[-1]) > deepest[int(name[-3]) - 1]]
        if wrong:
            raise ValueError(f"layers: {self.trunk} has no {', '.join(wrong)}")
        return self


class Anime(_Measured):
    """L1 in the features of a ResNet-50 that knows the tags of Danbooru, as APISR has it."""

    kind: Literal["anime"] = "anime"
    layers: dict[Stage, Positive] = Field(
        {"stem": 0.1, "stage1": 20.0, "stage2": 25.0, "stage3": 1.0, "stage4": 1.0}, min_length=1
    )
    """Weight of each stage; these make their parts about equal."""


class _Trunked(_Measured):
    trunk: Path | None = None
    """File of torchvision's network under it; without it the published file in the folder of weights."""
    trunk_sha256: Hash | None = None
    """Expected SHA-256 of that file, or its beginning."""


class LPIPS(_Trunked):
    """Learned perceptual distance."""

    kind: Literal["lpips"] = "lpips"
    net: Literal["alex", "vgg", "st-alex", "st-vgg"] = "vgg"
    """alex and vgg: the original heads (`weights`) over torchvision's network (`trunk`); st-: the shift-tolerant
    networks, one file (`weights`) with all."""

    @model_validator(mode="after")
    def _one_file(self) -> LPIPS:
        if self.net.startswith("st-") and (self.trunk or self.trunk_sha256):
            raise ValueError(f"trunk: {self.net} has it in the file of weights")
        return self


class DISTS(_Trunked):
    """Distance of structure and texture; `weights` is the file with alpha and beta, `trunk` is torchvision's VGG16."""

    kind: Literal["dists"] = "dists"


class LDL(_Loss):
    """L1 where the output has artefacts and the averaged network has fewer. Needs the averaged network (`ema`)."""

    kind: Literal["ldl"] = "ldl"
    window: int = Field(7, ge=3, le=15)
    """Side of the window of local variance in pixels, an odd number."""

    @model_validator(mode="after")
    def _odd(self) -> LDL:
        if self.window % 2 == 0:
            raise ValueError(f"window: {self.window} is even, odd numbers are allowed")
        return self


class Consistency(_Loss):
    """L1 between the output and the input after both were made small and smooth: keeps colour and brightness."""

    kind: Literal["consistency"] = "consistency"
    on: Literal["gt"] = "gt"
    """Has no effect: it compares with the input."""
    sigma: Positive = 2.0
    """Of the Gaussian low-pass filter, in pixels of the input."""


class Temporal(_Loss):
    """L1 between the changes from frame to frame of the output and those of the ground truth. Needs clips."""

    kind: Literal["temporal"] = "temporal"
    spans: tuple[Annotated[int, Field(ge=1, le=30)], ...] = Field((1,), min_length=1)
    """Distances in frames over which changes are compared."""


LossOptions = Annotated[
    L1 | Charbonnier | Huber | SSIM | MSSSIM | FFT | FocalFrequency | Perceptual | Anime | LPIPS | DISTS | LDL
    | Consistency | Temporal,
    Field(discriminator="kind"),
]  # fmt: skip


class _Adversarial(Strict):
    weight: Positive = 0.1
    """Factor in the generator's sum of losses; in the discriminator's it is always 1."""


class _Labelled(_Adversarial):
    real: float = Field(1.0, allow_inf_nan=False)
    """Label of real pictures."""
    fake: float = Field(0.0, allow_inf_nan=False)
    """Label of generated pictures."""

    @model_validator(mode="after")
    def _apart(self) -> _Labelled:
        if self.real <= self.fake:
            raise ValueError(f"real: {self.real:g} is allowed above the label of fakes only, {self.fake:g}")
        return self


class _Probable(_Labelled):
    real: float = Field(1.0, ge=0, le=1)
    """Label of real pictures, a probability."""
    fake: float = Field(0.0, ge=0, le=1)
    """Label of generated pictures, a probability."""


class Vanilla(_Probable):
    """Cross entropy, as Real-ESRGAN has it."""

    kind: Literal["vanilla"] = "vanilla"


class LSGAN(_Labelled):
    """Squared distance to the labels, as AnimeSR has it."""

    kind: Literal["lsgan"] = "lsgan"


class Hinge(_Adversarial):
    """Linear up to a margin of 1."""

    kind: Literal["hinge"] = "hinge"


class Relativistic(_Probable):
    """Cross entropy of how much more real a picture is than the average of the other kind, as ESRGAN has it."""

    kind: Literal["relativistic"] = "relativistic"


GanOptions = Annotated[Vanilla | LSGAN | Hinge | Relativistic, Field(discriminator="kind")]
