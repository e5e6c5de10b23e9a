"""The networks for faces give what gfpgan's and facexlib's give, and have their keys: see benchmarks.oracle_faces."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from vidsr.faces.nets.gfpgan import GFPGANv1Clean
from vidsr.faces.nets.gfpgan_original import GFPGANv1
from vidsr.faces.nets.parsenet import ParseNet
from vidsr.faces.nets.restoreformer import RestoreFormer
from vidsr.faces.nets.retinaface import RetinaFace, anchors, decoded

from .net_cases import CASES, OUTPUTS, SHAPES, SMALL, inputs, sampled, weights

WHOLE: dict[str, Callable[[], nn.Module]] = {
    "gfpgan": GFPGANv1Clean,
    "gfpgan-original": GFPGANv1,
    "restoreformer": RestoreFormer,
    "parsenet": ParseNet,
    "retinaface-resnet50": lambda: RetinaFace("resnet50"),
    "retinaface-mobile": lambda: RetinaFace("mobilenet0.25"),
}
TESTED: dict[str, Callable[[], nn.Module]] = {
    **WHOLE,
    "gfpgan": lambda: GFPGANv1Clean(**SMALL),  # type: ignore[arg-type]
    "gfpgan-original": lambda: GFPGANv1(**SMALL),  # type: ignore[arg-type]
}


def shapes(make: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in make().state_dict().items()}


def filled(name: str) -> nn.Module:
    """The network of the case, with its weights."""
    with torch.device("meta"):
        network = TESTED[name]()
    state = weights(name, shapes(TESTED[name]))
    tensors = {key: torch.from_numpy(np.asarray(value)) for key, value in state.items()}
    network.load_state_dict(tensors, strict=True, assign=True)
    return network.eval()


def test_every_network_is_compared() -> None:
    with np.load(OUTPUTS) as stored:
        assert {name.split()[0] for name in stored} == set(CASES) == set(WHOLE)


@pytest.mark.parametrize("name", WHOLE)
def test_keys_and_shapes_are_those_of_the_released_weights(name: str) -> None:
    stored = json.loads(SHAPES.read_text())[name]
    assert shapes(WHOLE[name]) == {key: tuple(shape) for key, shape in stored.items()}


@pytest.mark.parametrize("name", TESTED)
def test_outputs_are_those_of_the_package(name: str) -> None:
    network = filled(name)
    with torch.inference_mode():
        made = network(torch.from_numpy(inputs(name)))
    parts = dict(zip("sbm", made, strict=True)) if isinstance(made, tuple) else {"0": made}
    with np.load(OUTPUTS) as stored:
        for part, values in parts.items():
            wanted = stored[f"{name} {part}"]
            apart = np.abs(sampled(values.numpy()) - wanted).max() / wanted.std()
            assert apart < 1e-4, (part, apart)


@pytest.mark.parametrize("kind", [GFPGANv1Clean, GFPGANv1])
def test_the_noise_is_that_of_the_checkpoint(kind: type[GFPGANv1Clean]) -> None:
    """The same face gives the same pixels, and others with other noise."""
    network = filled("gfpgan-original" if kind is GFPGANv1 else "gfpgan")
    face = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        first, again = network(face), network(face)
        network.get_buffer("stylegan_decoder.noises.noise3").add_(1)
        other = network(face)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_anchors_lie_on_the_places_of_the_features() -> None:
    """One pair for each place on each scale, sizes that divide by nothing included."""
    found = anchors(90, 124)
    assert found.shape == (2 * (12 * 16 + 6 * 8 + 3 * 4), 4)
    assert found[0].tolist() == [4, 4, 16, 16]
    assert found[-1].tolist() == [112, 80, 512, 512]
    with torch.inference_mode():
        assert RetinaFace("mobilenet0.25").eval()(torch.zeros(1, 3, 90, 124))[1].shape == (1, len(found), 4)


def test_offsets_become_boxes_and_landmarks() -> None:
    """By the equations of the paper's code: 0.1 of the anchor's side for places, e to the 0.2nd for sizes."""
    anchor = torch.tensor([[100.0, 50.0, 20.0, 40.0]])
    boxes, marks = torch.tensor([[1.0, -1.0, 0.0, 5.0]]), torch.tensor([[1.0, 2.0] + [0.0] * 8])
    box, points = decoded(boxes, marks, anchor)
    tall = 40 * float(np.exp(1))
    assert box[0].tolist() == pytest.approx([92, 46 - tall / 2, 112, 46 + tall / 2])
    assert points[0, :2].tolist() == [[102, 58], [100, 50]]
