"""The base of every option of a training run. Imports no torch, so that `vidsr train check` starts fast."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Options that refuse what they do not know, cannot change, and whose docstrings per field are their help."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
