"""Options of `kind: video`: the chain of steps that whole frames of a clip go through in the loader. Imports no torch.

degrade: {kind: video, style: broadcast}
degrade: {kind: video, steps: [{kind: blur, sigma: [0.2, 1]}, {kind: shrink}, {kind: codec, av1: null}]}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ..strict import Strict
from . import step_options as steps
from .codec_options import Codec


class Shuffle(steps.Step):
    """Steps in an order drawn per clip, as the last ones of Real-ESRGAN and RealBasicVSR are."""

    kind: Literal["shuffle"] = "shuffle"
    steps: Annotated[tuple[AnyStep, ...], Field(min_length=1)]


class OneOf(steps.Step):
    """One of several steps, drawn per clip with their `probability` as weights."""

    kind: Literal["one_of"] = "one_of"
    steps: Annotated[tuple[AnyStep, ...], Field(min_length=1)]

    @field_validator("steps")
    @classmethod
    def _check_weights(cls, value: tuple[AnyStep, ...]) -> tuple[AnyStep, ...]:
        if not any(step.probability for step in value):
            raise ValueError("should hold a step with a probability above 0")
        return value


AnyStep = Annotated[
    steps.Blur
    | steps.Noise
    | steps.Grain
    | steps.Halo
    | steps.Echo
    | steps.FrameBlend
    | steps.Interlace
    | steps.Composite
    | steps.ChromaShift
    | steps.Siting
    | steps.Matrix
    | steps.LevelRange
    | steps.Banding
    | steps.Dither
    | steps.Resize
    | steps.Upscaled
    | steps.Shrink
    | steps.Still
    | Codec
    | Shuffle
    | OneOf,
    Field(discriminator="kind"),
]
Style = Literal["mild", "broadcast", "web", "strong"]


class VideoChain(Strict):
    """Steps on whole frames of a clip, before it is cropped, one set of parameters per clip.

    Codecs predict a block from its neighbours, so cropping comes after them (APISR).
    """

    kind: Literal["video"] = "video"
    style: Style | None = None
    """A named list of steps, in place of `steps`; it is replaced by them, so that a resolved config says them all."""
    steps: tuple[AnyStep, ...] = ()
    """In this order; exactly one is a `shrink` that always happens, at the top or in a `shuffle`."""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, values: Any) -> Any:
        from .video_styles import STYLES

        style = values.get("style") if isinstance(values, dict) else None
        steps_of = next((make for name, make in STYLES.items() if name == style), None)
        if steps_of is None:
            return values  # none, or one that the field itself refuses
        if values.get("steps"):
            raise ValueError("style and steps exclude each other")
        return {**values, "style": None, "steps": steps_of()}

    @field_validator("steps")
    @classmethod
    def _check_shrink(cls, value: tuple[AnyStep, ...]) -> tuple[AnyStep, ...]:
        sure = list(_sure(value))
        everywhere = [step for step in _all(value) if isinstance(step, steps.Shrink)]
        if len(everywhere) != 1 or everywhere != [step for step in sure if isinstance(step, steps.Shrink)]:
            raise ValueError(
                "should hold exactly one shrink step, with probability 1, at the top or in a shuffle; it holds"
                f" {len(everywhere)}"
            )
        place = next(place for place, step in enumerate(value) if everywhere[0] in _all((step,)))
        if any(isinstance(step, steps.Resize) for step in _all(value[place:])):
            raise ValueError("should hold no resize after shrink, nor in a shuffle with it")
        return value

    @model_validator(mode="after")
    def _check_steps(self) -> VideoChain:
        if not self.steps:
            raise ValueError("needs either style or steps")
        return self


def _all(chain: Sequence[AnyStep]) -> Iterator[AnyStep]:
    for step in chain:
        yield step
        if isinstance(step, Shuffle | OneOf):
            yield from _all(step.steps)


def _sure(chain: Sequence[AnyStep]) -> Iterator[AnyStep]:
    """The steps of `chain` that happen to every clip."""
    for step in chain:
        if step.probability == 1:
            yield step
            if isinstance(step, Shuffle):
                yield from _sure(step.steps)


Shuffle.model_rebuild()
OneOf.model_rebuild()
VideoChain.model_rebuild()
