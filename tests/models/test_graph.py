"""ONNX files as models: what is found by running them, how they run, and which are refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.runtime.tiny import CPU, apart, tiny
from vidsr.errors import UsageError, WeightsError
from vidsr.events import Event
from vidsr.models.export import to_onnx
from vidsr.models.graph import Graph, read_graph
from vidsr.models.load import load_model
from vidsr.runtime.choose import make_runtime, precision_for
from vidsr.runtime.eager import Eager
from vidsr.runtime.onnx import Onnx

onnx: Any = pytest.importorskip("onnx", exc_type=ImportError)
pytest.importorskip("onnxruntime", exc_type=ImportError)
helper = onnx.helper
FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def repeater(
    nodes: list[Any] | None = None,
    shape: tuple[Any, ...] = ("n", 3, "h", "w"),
    kind: int = FLOAT,
    tensors: list[Any] | None = None,
    names: tuple[str, str] = ("picture", "large"),
    **more: Any,
) -> Any:
    """A model that repeats every pixel 2x2, or one of other nodes; `names` are those of its input and output."""
    scales = onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    default = [helper.make_node("Resize", [names[0], "", "scales"], [names[1]], mode="nearest",
                                coordinate_transformation_mode="asymmetric", nearest_mode="floor")]  # fmt: skip
    graph = helper.make_graph(
        nodes or default,
        "g",
        [helper.make_tensor_value_info(names[0], kind, shape)],
        [helper.make_tensor_value_info(names[1], kind, [None] * 4)],
        [scales, *(tensors or [])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, **more)


def load(model: Any) -> Graph:
    return read_graph(model.SerializeToString())


@pytest.mark.parametrize("kind", ["compact4", "compact2", "rrdb4", "rrdb2", "rrdb1"])
def test_what_is_exported_is_loaded_again(kind: str, tmp_path: Path) -> None:
    """Scale, size rule and receptive field come back by running; the picture is the same to 60 dB and more."""
    pytest.importorskip("onnxscript", exc_type=ImportError)
    source, path = tiny(kind), tmp_path / "net.onnx"
    path.write_bytes(to_onnx(source))
    found = load_model(str(path))
    known = ("scale", "multiple_of", "minimum", "receptive_field")
    assert [getattr(found, name) for name in known] == [getattr(source, name) for name in known]
    assert (found.name, found.arch, found.dtypes) == ("net", "ONNX graph", {"fp32"})
    assert found.parameters >= 0.9 * source.parameters  # equal slopes are kept once
    rgb = torch.rand(2, 3, 12, 20)
    expected = Eager(source, CPU, "fp32")(rgb)
    events: list[Event] = []
    runtime = make_runtime("auto", found, CPU, precision_for("auto", "auto", CPU, found.dtypes), events.append)
    assert isinstance(runtime, Onnx)
    for seen in (runtime(rgb), Eager(found, CPU, "fp32")(rgb)):
        assert apart(seen, expected) > 100


@pytest.mark.parametrize("kind", [FLOAT, HALF])
@pytest.mark.parametrize("shape", [("n", 3, "h", "w"), (1, 3, "h", "w"), ("n", "c", "h", "w")])
@pytest.mark.parametrize("names", [("picture", "large"), ("rgb", "upscaled"), ("upscaled", "rgb")])
def test_names_number_formats_and_single_pictures(kind: int, shape: tuple[Any, ...], names: tuple[str, str]) -> None:
    network = load(repeater(kind=kind, shape=shape, names=names))
    rgb = torch.rand(3, 3, 5, 7)
    out = copy.deepcopy(network)(rgb)
    assert out.dtype == torch.float32
    expected = rgb.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(out, expected, atol=1e-3 if kind == HALF else 0)


def test_single_pictures_run_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(repeater(shape=(1, 3, "h", "w")).SerializeToString())
    found, rgb = load_model(str(path)), torch.rand(3, 3, 4, 6)
    assert torch.equal(Onnx(found, CPU, "fp32")(rgb), rgb.repeat_interleave(2, 2).repeat_interleave(2, 3))


@pytest.mark.parametrize("runtime", ["eager", "compiled", "tensorrt", "layered"])
def test_other_runtimes_are_refused(tmp_path: Path, runtime: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(repeater().SerializeToString())
    with pytest.raises(UsageError, match=f"{runtime} cannot run net, which is an ONNX file"):
        make_runtime(runtime, load_model(str(path)), CPU, "fp32", lambda event: None)


def constant(sides: list[int]) -> list[Any]:
    """A picture plus one that is made inside of the graph, of any size."""
    size = onnx.numpy_helper.from_array(np.array(sides, np.int64), "sides")
    return [
        helper.make_node("Constant", [], ["size"], value=size),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("Add", ["picture", "zeros"], ["large"]),
    ]


def external() -> Any:
    tensor = onnx.numpy_helper.from_array(np.zeros((3, 1, 1), np.float32), "weights")
    model = repeater([helper.make_node("Add", ["picture", "weights"], ["large"])], tensors=[tensor])
    kept = model.graph.initializer[1]
    kept.ClearField("raw_data")
    kept.data_location = onnx.TensorProto.EXTERNAL
    kept.external_data.add(key="location", value="../../etc/passwd")
    return model


def loop() -> Any:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["still"])],
        "b",
        [helper.make_tensor_value_info("i", onnx.TensorProto.INT64, []),
         helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("still", onnx.TensorProto.BOOL, [])],
    )  # fmt: skip
    return repeater([helper.make_node("Loop", ["", ""], [], body=body), *repeater().graph.node])


def two_inputs() -> Any:
    model = repeater()
    model.graph.input.append(helper.make_tensor_value_info("noise", FLOAT, [1]))
    return model


BAD: dict[str, tuple[Any, str]] = {
    "fixed size": (lambda: repeater(shape=(1, 3, 64, 64)), "is 1 3 64 64 float32, expected is N 3 H W"),
    "gray": (lambda: repeater(shape=("n", 1, "h", "w")), "is free 1 free free float32"),
    "channels last": (lambda: repeater(shape=("n", "h", "w", 3)), "expected is N 3 H W"),
    "bytes": (lambda: repeater(kind=onnx.TensorProto.UINT8), "uint8, expected"),
    "two inputs": (two_inputs, "has 2 inputs and 1 outputs"),
    "another file": (external, "its weights lie in another file"),
    "loop": (loop, "the operator Loop may run without end"),
    "foreign operator": (
        lambda: repeater([helper.make_node("System", ["picture"], ["large"], domain="evil")]),
        "its operators evil.System are not of ONNX",
    ),
    "huge constant": (lambda: repeater(constant([1, 3, 1 << 20, 1 << 20])), "would have the size"),
    "unknown operator": (
        lambda: repeater([helper.make_node("Nothing", ["picture"], ["large"])]),
        "damaged, or no ONNX",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_trusted_or_used_is_refused(kind: str) -> None:
    make, said = BAD[kind]
    with pytest.raises(WeightsError, match=said):
        load(make())


def test_files_that_are_no_models_are_refused() -> None:
    data = repeater().SerializeToString()
    for bad in (b"", b"<html>", b"\0" * 100, data[: len(data) // 2], data[:-3]):
        with pytest.raises(WeightsError):
            read_graph(bad)


def test_networks_that_cut_edges_off_are_refused(tmp_path: Path) -> None:
    weights = onnx.numpy_helper.from_array(np.zeros((3, 3, 3, 3), np.float32), "weights")
    path = tmp_path / "cut.onnx"
    node = helper.make_node("Conv", ["picture", "weights"], ["large"])
    path.write_bytes(repeater([node], tensors=[weights]).SerializeToString())
    with pytest.raises(WeightsError, match="64x64 gives 1x3x62x62"):
        load_model(str(path))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.util import find_spec

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxruntime" else find_spec(name))
    with pytest.raises(UsageError, match="an ONNX file as a model needs the packages onnx, onnxruntime; not installed"):
        load(repeater())
