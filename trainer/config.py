"""The whole of a run, strict to the last argument of a loss; read from YAML, checked without torch.

`load` tells all mistakes of a file at once. `Config.resolved` is what lies in the run folder and in checkpoints.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from vidsr.errors import UsageError

from .data.options import DataOptions
from .degrade.options import DegradeOptions, Sharpen
from .losses.options import LossOptions
from .metrics.options import Export, Validation
from .mistakes import told
from .options import (
    Adam,
    Checkpoint,
    Cosine,
    Ema,
    Gan,
    Loop,
    NetOptions,
    OptimiserOptions,
    ScheduleOptions,
    Swa,
    Whole,
)
from .rules import clashes
from .strict import Strict
from .yaml_text import override, read_yaml, write_yaml


class Config(Strict):
    """A training run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    """Of the run, its folder and the exported model."""
    seed: Whole = 0
    """Every sample, crop and degradation follows from it."""
    scale: Annotated[int, Field(ge=1, le=16)]
    """How many times larger the output is in each direction."""
    net: NetOptions
    """The generator."""
    data: Annotated[tuple[DataOptions, ...], Field(min_length=1)]
    """Where ground truth comes from; several are mixed by their weights."""
    degrade: DegradeOptions
    """How the input of the network is made of the ground truth."""
    sharpen: Sharpen = Sharpen()
    """How ground truth is sharpened for losses with `on: usm`; as `degrade.sharpen` where only that is given."""
    losses: Annotated[tuple[LossOptions, ...], Field(min_length=1)]
    """What the generator learns from; they are added by their weights."""
    gan: Gan | None = None
    """The adversarial stage; None trains without a discriminator."""
    optim: OptimiserOptions = Adam()
    """Of the generator, and of the discriminator but for its learning rate."""
    schedule: ScheduleOptions = Cosine()
    """The learning rate over the run."""
    ema: Ema | None = Ema()
    """A running average of the weights."""
    swa: Swa | None = None
    """The mean of the weights late in the run."""
    loop: Loop
    """How long, how much at once, in which numbers."""
    pair_pool: Whole = 0
    """Pairs kept on the device, from which batches are drawn so that degradations mix; 180 in the reference."""
    validation: Validation | None = None
    """What is measured while training."""
    checkpoint: Checkpoint = Checkpoint()
    """Which states are kept."""
    export: Export | None = Export()
    """What a finished run leaves for `vidsr upscale`."""

    @model_validator(mode="before")
    @classmethod
    def _sharpen_alike(cls, values: Any) -> Any:
        """Of two sharpenings the one that is not given is as the other."""
        degrade = values.get("degrade") if isinstance(values, dict) else None
        if not isinstance(degrade, dict) or degrade.get("kind") != "classic":
            return values
        given = [group["sharpen"] for group in (values, degrade) if "sharpen" in group]
        if len(given) != 1:
            return values
        return values | {"sharpen": given[0], "degrade": degrade | {"sharpen": given[0]}}

    @model_validator(mode="after")
    def _check_together(self) -> Config:
        if faults := clashes(self):
            raise ValueError("\n".join(faults))
        return self

    def resolved(self) -> dict[str, Any]:
        """All fields as plain values, defaults filled in and paths absolute, so that a run goes on from anywhere."""
        plain: dict[str, Any] = json.loads(json.dumps(_absolute(self.model_dump()), default=str))
        start = self.net.start
        if start and Path(start).exists():  # else it is the name of a model
            plain["net"]["start"] = str(Path(start).absolute())
        return plain

    def digest(self) -> str:
        """SHA-256 of the resolved configuration."""
        return hashlib.sha256(json.dumps(self.resolved(), sort_keys=True).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the resolved configuration as YAML. Raises OutputError."""
        write_yaml(path, self.resolved())


def load(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration in a YAML file, with `key.sub=value` laid over it.

    Raises one UsageError with a line for every mistake, and the near miss where a name is nearly right.
    """
    return parse(override(read_yaml(path), overrides), str(path))


def parse(values: dict[str, Any], source: str = "configuration") -> Config:
    """The configuration of plain values; `source` names them in messages. Raises UsageError as `load` does."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = told(error, Config)
        hint = "vidsr train init writes a configuration that is right; vidsr train schema tells what is allowed"
        raise UsageError("\n".join(f"{source}: {line}" for line in lines), hint) from None


def schema() -> dict[str, Any]:
    """JSON schema of a configuration, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def _absolute(value: Any) -> Any:
    if isinstance(value, Path):
        return value.absolute()
    if isinstance(value, dict):
        return {key: _absolute(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_absolute(item) for item in value]
    return value
