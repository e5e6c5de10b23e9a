"""The ONNX model of a network: what it says, what it takes, and that it computes the same."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from tests.runtime.tiny import CPU, apart, onnxruntime, tiny
from vidsr.errors import UsageError
from vidsr.models.export import OPSET, to_onnx
from vidsr.runtime.eager import Eager


@pytest.mark.parametrize("network", ["compact4", "rrdb2"])
def test_the_model_is_valid_and_says_what_it_is(network: str) -> None:
    onnx: Any = pytest.importorskip("onnx", exc_type=ImportError)
    pytest.importorskip("onnxscript", exc_type=ImportError)
    model = onnx.load_from_string(to_onnx(tiny(network)))
    onnx.checker.check_model(model, full_check=True)
    assert [item.version for item in model.opset_import if item.domain == ""] == [OPSET]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["rgb", "upscaled"]
    sides = model.graph.input[0].type.tensor_type.shape.dim
    assert [bool(side.dim_param) for side in sides] == [True, False, True, True]
    said = {item.key: item.value for item in model.metadata_props}
    assert said["name"] == network
    assert said["scale"] == str(tiny(network).scale)
    assert said["multiple_of"] == str(tiny(network).multiple_of)
    assert said["weights_sha256"] == tiny(network).sha256
    assert said["licence"] == "BSD-3-Clause"


@pytest.mark.parametrize(("network", "precision", "close"), [("compact4", "fp16", 55), ("rrdb4", "fp16", 55)])
def test_half_precision_models_take_and_give_float32(network: str, precision: str, close: float) -> None:
    session = onnxruntime().InferenceSession(to_onnx(tiny(network), precision), providers=["CPUExecutionProvider"])
    rgb = torch.rand(2, 3, 9, 7)
    (result,) = session.run(None, {"rgb": rgb.numpy()})
    assert result.dtype == np.float32
    off = apart(torch.from_numpy(result), Eager(tiny(network), CPU, "fp32")(rgb))
    assert close < off < 100, "fp16 must be near float32, and must not be float32"


def test_bf16_is_refused() -> None:
    pytest.importorskip("onnxscript", exc_type=ImportError)
    with pytest.raises(UsageError, match="bf16 is not allowed in an exported model, allowed are fp32 and fp16"):
        to_onnx(tiny("compact4"), "bf16")


def test_a_missing_package_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name))
    with pytest.raises(UsageError, match="not installed: onnxscript") as caught:
        to_onnx(tiny("compact4"))
    assert caught.value.hint == "pip install 'vidsr-upscaler[onnx]'"
