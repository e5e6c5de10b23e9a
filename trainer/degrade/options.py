"""What is done to good pictures to get the bad ones that a network learns from. Imports no torch.

All defaults of `Classic` are the constants of Real-ESRGAN's training (the same numbers stand in all of its recipes).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ..strict import Strict
from .ranges import Probability, Range, Weighted, Whole, weights, within
from .video_options import VideoChain

Shape = Literal["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
Direction = Literal["up", "down", "keep"]
Mode = Literal["area", "bilinear", "bicubic"]


def _odd(sizes: tuple[int, int]) -> tuple[int, int]:
    if sizes[0] % 2 == 0 or sizes[1] % 2 == 0:
        raise ValueError(f"should be two odd numbers, and is {sizes[0]}, {sizes[1]}")
    return sizes


def _around_one(ends: tuple[float, float]) -> tuple[float, float]:
    if not 0 < ends[0] <= 1 <= ends[1]:
        raise ValueError(f"should go from above 0, at most 1, to at least 1, and is {ends[0]:g} to {ends[1]:g}")
    return ends


AroundOne = Annotated[Range, AfterValidator(_around_one)]
"""A range that holds 1; one side of 1 is chosen first, and then a value on that side."""
Sizes = Annotated[Whole, within(1, 127), AfterValidator(_odd)]
"""(lowest, highest) odd number of taps."""


class Blur(Strict):
    """A blur by one kernel of a family, or sometimes by a sinc filter, which rings."""

    probability: Probability = 1.0
    """Part of the samples that are blurred at all."""
    kinds: Annotated[dict[Shape, float], Weighted] = weights(
        lambda: {
            "iso": 0.45,
            "aniso": 0.25,
            "generalized_iso": 0.12,
            "generalized_aniso": 0.03,
            "plateau_iso": 0.12,
            "plateau_aniso": 0.03,
        }
    )
    """Weights of the kernel's shapes."""
    sizes: Sizes = (7, 21)
    """Taps of the kernel per side, any odd number from the lowest to the highest."""
    sigma: Annotated[Range, within(1e-3, 100)] = (0.2, 3.0)
    """Standard deviation in pixels, along each axis."""
    beta_generalized: AroundOne = (0.5, 4.0)
    """Exponent of generalized Gaussians: 1 is a Gaussian, less has longer tails."""
    beta_plateau: AroundOne = (1.0, 2.0)
    """Exponent of plateau kernels: the more, the flatter their top."""
    sinc: Probability = 0.1
    """Part of the blurs that are a sinc filter in place of a kernel of `kinds`."""


class Resize(Strict):
    """A change of size, one factor for both sides."""

    directions: Annotated[dict[Direction, float], Weighted] = weights(lambda: {"up": 0.2, "down": 0.7, "keep": 0.1})
    """Weights of enlarging, shrinking and keeping the size."""
    factor: Annotated[AroundOne, within(0.01, 8)] = (0.15, 1.5)
    """Smallest factor when shrinking and largest when enlarging."""
    modes: Annotated[dict[Mode, float], Weighted] = weights(lambda: {"area": 1.0, "bilinear": 1.0, "bicubic": 1.0})
    """Weights of the filters; as in PyTorch without antialiasing."""


class Noise(Strict):
    """Gaussian noise of a sensor's electronics, or Poisson noise of light itself."""

    probability: Probability = 1.0
    """Part of the samples that get any."""
    gaussian: Probability = 0.5
    """Part of the noisy samples whose noise is Gaussian; the others' is Poisson."""
    sigma: Annotated[Range, within(0, 255)] = (1.0, 30.0)
    """Standard deviation of Gaussian noise in codes of 0 to 255."""
    poisson: Annotated[Range, within(0, 100)] = (0.05, 3.0)
    """Factor on Poisson noise."""
    gray: Probability = 0.4
    """Part of the noisy samples with the same noise in all three channels."""


class Jpeg(Strict):
    """JPEG with 4:2:0 chroma, computed on the device."""

    probability: Probability = 1.0
    """Part of the samples that are compressed."""
    quality: Annotated[Range, within(1, 100)] = (30.0, 95.0)
    """As in libjpeg, and any real number."""


class Stage(Strict):
    """One round of blur, resize, noise and JPEG."""

    blur: Blur = Blur()
    """Applied first."""
    resize: Resize = Resize()
    """Applied second."""
    noise: Noise = Noise()
    """Applied third."""
    jpeg: Jpeg = Jpeg()
    """Applied last; in the second stage before or after the final resize."""


SECOND = Stage(
    blur=Blur(probability=0.8, sigma=(0.2, 1.5)),
    resize=Resize(directions={"up": 0.3, "down": 0.4, "keep": 0.3}, factor=(0.3, 1.2)),
    noise=Noise(sigma=(1.0, 25.0), poisson=(0.05, 2.5)),
)
"""The reference's second stage."""


class Sharpen(Strict):
    """Unsharp masking where a picture differs from its blurred copy by more than a threshold."""

    weight: Annotated[float, Field(ge=0, le=10)] = 0.5
    """Part of the difference that is added."""
    radius: Annotated[int, Field(ge=1, le=255)] = 50
    """Taps of the Gaussian; an even number is taken one up."""
    threshold: Annotated[float, Field(ge=0, le=255)] = 10.0
    """In codes of 0 to 255; smaller differences are taken for noise."""


class Classic(Strict):
    """The second-order chain of Real-ESRGAN, on the device, for pictures or for clips with one draw per clip.

    It needs ground truth larger than the final crop (400 against 256 in the reference), so that borders stay out.
    """

    kind: Literal["classic"] = "classic"
    draws: Literal["sample", "batch"] = "sample"
    """sample: everything is drawn for each sample; batch: as the reference, which draws kernels, strengths and
    qualities per sample and all else (factors, filters, noise families, orders, crops) once per batch."""
    gt_size: Annotated[int, Field(ge=8)] = 256
    """Side of the crop of the ground truth that the losses see."""
    sharpen: Sharpen = Sharpen()
    """How ground truth is sharpened before it is degraded; as `sharpen` of the run where only that is given."""
    from_sharpened: bool = True
    """Degrade sharpened pictures; the plain ones when off."""
    first: Stage = Stage()
    """First round, at the size of the ground truth."""
    second: Stage = SECOND
    """Second round; its resize factors are relative to the final low-resolution size."""
    sinc: Probability = 0.8
    """Part of the samples with a sinc filter after the final resize."""
    sinc_sizes: Sizes = (7, 21)
    """Taps of that filter per side, odd."""
    modes: Annotated[dict[Mode, float], Weighted] = weights(lambda: {"area": 1.0, "bilinear": 1.0, "bicubic": 1.0})
    """Weights of the filters of the final resize."""
    jpeg_last: Probability = 0.5
    """Part of the samples with JPEG after the final resize and sinc filter; the others have it before them."""


class Paired(Strict):
    """No degradation: the data set has low-resolution pictures of its own."""

    kind: Literal["none"] = "none"


DegradeOptions = Annotated[Classic | VideoChain | Paired, Field(discriminator="kind")]
