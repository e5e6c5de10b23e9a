"""The choices of a run that belong to the loop itself; data, losses and the like have their own beside their code.

A docstring under a field is its help text in the JSON schema. Choices with variants are told apart by `kind`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .losses.options import GanOptions, Vanilla
from .nets.options import DiscriminatorOptions
from .strict import Strict

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]


class Generator(Strict):
    """What all generators share: where their weights begin."""

    start: str | None = None
    """A model name, a weights file (.safetensors, .pth of the reference) or the folder of an earlier run to begin
    with; random weights when not given."""
    start_key: Literal["params_ema", "params"] = "params_ema"
    """Which weights of a reference `.pth` begin the run; the other is taken where that one is missing."""
    start_partial: bool = False
    """Take the tensors of `start` whose names and shapes fit and leave the others random, as from scale 4 to 2."""


class Srvgg(Generator):
    """SRVGGNetCompact of Real-ESRGAN: a plain stack of convolutions, the network of animevideov3."""

    kind: Literal["srvgg"] = "srvgg"
    features: Count = 64
    """Channels of the body."""
    convolutions: Count = 16
    """Of the body: 16 in animevideov3, 32 in general-x4v3."""
    activation: Literal["prelu", "relu", "leakyrelu"] = "prelu"
    """Between convolutions."""


class Rrdb(Generator):
    """RRDBNet of ESRGAN: dense blocks in residual blocks, the network of x4plus."""

    kind: Literal["rrdb"] = "rrdb"
    features: Count = 64
    """Channels of the trunk."""
    blocks: Count = 23
    """23 in x4plus, 6 in x4plus-anime."""
    growth: Count = 32
    """Channels that each dense convolution adds."""


class Model(Strict):
    """The network that a name or a weights file stands for, trained on from its weights."""

    kind: Literal["model"] = "model"
    start: str
    """A model name (`vidsr models list`), a weights file, or the folder of an earlier run."""
    start_key: Literal["params_ema", "params"] = "params_ema"
    """Which weights of a reference `.pth` begin the run; the other is taken where that one is missing."""


NetOptions = Annotated[Srvgg | Rrdb | Model, Field(discriminator="kind")]


class Adam(Strict):
    """Adam (Kingma and Ba, 2014), the optimiser of the reference."""

    kind: Literal["adam"] = "adam"
    lr: Positive = 2e-4
    """Learning rate of the generator."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    """Decay of the first and second moment."""
    eps: Positive = 1e-8
    """Added to the root of the second moment."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Added to gradients with adam, taken off weights with adamw."""


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2017)."""

    kind: Literal["adamw"] = "adamw"  # type: ignore[assignment]


OptimiserOptions = Annotated[Adam | AdamW, Field(discriminator="kind")]


class Schedule(Strict):
    """What all schedules share."""

    warmup: Whole = 0
    """Iterations over which the learning rate climbs from near zero."""


class Constant(Schedule):
    """One learning rate throughout."""

    kind: Literal["constant"] = "constant"


class Cosine(Schedule):
    """Half a cosine from the learning rate down to `floor` of it (Loshchilov and Hutter, SGDR, 2016)."""

    kind: Literal["cosine"] = "cosine"
    floor: Fraction = 0.0
    """Part of the learning rate that is left at the end."""


class Multistep(Schedule):
    """The learning rate is multiplied by `gamma` at each milestone."""

    kind: Literal["multistep"] = "multistep"
    milestones: Annotated[tuple[Fraction, ...], Field(min_length=1)] = (0.5, 0.75)
    """As parts of `loop.iterations`, so that a longer run needs no new numbers."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Factor at a milestone."""


class Wsd(Schedule):
    """Warm-up, stable, decay (Hu et al., MiniCPM, 2024): constant, then down to `floor` in the last part of the run."""

    kind: Literal["wsd"] = "wsd"
    decay: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Part of the run in which the learning rate falls."""
    shape: Literal["linear", "sqrt"] = "sqrt"
    """linear, or 1 - sqrt(part) (Hägele et al., 2024)."""
    floor: Fraction = 0.0
    """Part of the learning rate that is left at the end."""


ScheduleOptions = Annotated[Constant | Cosine | Multistep | Wsd, Field(discriminator="kind")]


class Gan(Strict):
    """The second stage: a discriminator, and what it has to say in the generator's loss."""

    loss: GanOptions = Vanilla(real=1.0, fake=0.0)
    """Form of the adversarial loss, and its weight in the generator's sum; that of the discriminator counts fully."""
    on: Literal["gt", "usm"] = "gt"
    """Which pictures the discriminator takes for real: the ground truth, or its sharpened copy."""
    discriminator: DiscriminatorOptions
    """Its network."""
    lr: Positive | None = None
    """Learning rate of the discriminator; that of the generator when not given."""
    warmup: Whole = 0
    """Iterations at the start in which only the discriminator learns: a cold one misleads a good generator."""
    ramp: Whole = 0
    """Iterations after `warmup` over which the weight of `loss` climbs from zero."""


class Ema(Strict):
    """Exponential moving average of the generator's weights; it is validated and exported in the generator's place."""

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Part that is kept at each iteration."""
    warmup: bool = True
    """Begin with a shorter memory, (1 + n) / (10 + n) after n iterations; the reference has none."""


class Swa(Strict):
    """Stochastic weight averaging (Izmailov et al., 2018): the plain mean of weights late in the run."""

    start: Fraction = 0.75
    """Part of the run after which weights are gathered."""
    every: Count = 100
    """Iterations between two that count."""


class NanPolicy(Strict):
    """What happens when a loss or a gradient is not finite: the same on all processes."""

    limit: Whole = 10
    """Iterations in a row that are skipped; one more ends the run."""
    dump: bool = True
    """Keep the batch in the run folder, to look at."""


class Loop(Strict):
    """How long, how much at once, and in which numbers."""

    iterations: Count
    """Steps of the optimiser in the whole run."""
    batch: Count = 12
    """Samples that go through the networks together, per process."""
    accumulate: Count = 1
    """Batches whose gradients make one step; the same as one batch that much larger, in less memory."""
    workers: Whole = 4
    """Processes that read and degrade samples; the samples do not depend on it."""
    clip: Positive | None = None
    """Largest norm of a network's gradient; longer ones are shortened. None never shortens."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the networks; weights, losses and degradations stay in float32."""
    channels_last: bool = False
    """Memory order of convolutions that GPUs with tensor cores prefer."""
    compile: Literal["off", "default", "max-autotune-no-cudagraphs"] = "off"
    """Mode of torch.compile."""
    deterministic: bool = False
    """Only algorithms that give the same bits every time on the same GPU; a CPU always does."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N; under torchrun every process takes its own GPU."""
    nan: NanPolicy = NanPolicy()
    """What happens when numbers are not finite."""
    hours: Positive | None = None
    """Wall-clock limit of one call; the state is saved and `resume` goes on."""
    log_every: Count = 100
    """Iterations between two lines of the log."""


class Checkpoint(Strict):
    """Which states are kept."""

    every: Count = 5000
    """Iterations between two checkpoints; one is also written at the end and on a signal."""
    keep: Count = 3
    """How many of the newest are kept, besides the best by `validation.best` and the milestones."""
    milestones: Annotated[tuple[Fraction, ...], Field()] = ()
    """Parts of the run whose checkpoints are kept for good."""

    @model_validator(mode="after")
    def _ascending(self) -> Checkpoint:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones {list(self.milestones)} must rise")
        return self
