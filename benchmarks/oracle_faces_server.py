"""Runs gfpgan's and facexlib's networks for `benchmarks.oracle_faces`, in an environment that has them.

python oracle_faces_server.py OUTPUTS.npz SHAPES.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision.transforms.functional

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.modules["torchvision.transforms.functional_tensor"] = torchvision.transforms.functional  # basicsr asks for it

from basicsr.archs import stylegan2_arch  # noqa: E402
from facexlib.detection.retinaface import RetinaFace  # noqa: E402
from facexlib.parsing.parsenet import ParseNet  # noqa: E402
from gfpgan.archs import gfpganv1_arch  # noqa: E402
from gfpgan.archs.gfpganv1_clean_arch import GFPGANv1Clean  # noqa: E402
from gfpgan.archs.restoreformer_arch import RestoreFormer  # noqa: E402

from tests.faces.net_cases import CASES, SMALL, inputs, sampled, weights  # noqa: E402


class FusedLeakyReLU(torch.nn.Module):
    """What basicsr's CUDA extension computes, which is not built here."""

    def __init__(self, channels: int, negative_slope: float = 0.2, scale: float = 2**0.5) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(channels))
        self.slope, self.scale = negative_slope, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return fused_leaky_relu(x, self.bias, self.slope, self.scale)


def fused_leaky_relu(
    x: torch.Tensor, bias: torch.Tensor, negative_slope: float = 0.2, scale: float = 2**0.5
) -> torch.Tensor:
    shape = (1, -1, *(1 for _ in range(x.ndim - 2)))
    return torch.nn.functional.leaky_relu(x + bias.view(shape), negative_slope) * scale


def gfpgan(kind: Any, side: int, style: int, multiplier: int, narrow: float) -> torch.nn.Module:
    made: torch.nn.Module = kind(
        out_size=side, num_style_feat=style, channel_multiplier=multiplier, decoder_load_path=None, fix_decoder=False,
        num_mlp=8, input_is_latent=True, different_w=True, narrow=narrow, sft_half=True,
    )  # fmt: skip
    return made


def networks(small: bool) -> dict[str, Any]:
    """What makes each network, the first two at the sizes of the cases or at those of the released weights."""
    clean, original = (SMALL, SMALL) if small else ({**WHOLE, "multiplier": 2}, {**WHOLE, "multiplier": 1})
    return {
        "gfpgan": lambda: gfpgan(GFPGANv1Clean, **clean),
        "gfpgan-original": lambda: gfpgan(gfpganv1_arch.GFPGANv1, **original),
        "restoreformer": RestoreFormer,
        "parsenet": lambda: ParseNet(512, 512, 19),
        "retinaface-resnet50": lambda: RetinaFace(network_name="resnet50", half=False, device="cpu"),
        "retinaface-mobile": lambda: RetinaFace(network_name="mobile0.25", half=False, device="cpu"),
    }


WHOLE: dict[str, Any] = {"side": 512, "style": 512, "narrow": 1}


def shapes(network: torch.nn.Module) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in network.state_dict().items()}


def outputs(name: str, network: torch.nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    """What the network makes of the case: one part, or scores, boxes and landmarks in our order."""
    state = weights(name, {key: tuple(shape) for key, shape in shapes(network).items()})
    network.load_state_dict({key: torch.from_numpy(np.asarray(value)) for key, value in state.items()}, strict=True)
    options = {"return_rgb": False, "randomize_noise": False} if name.startswith("gfpgan") else {}
    with torch.inference_mode():
        made = network.eval()(torch.from_numpy(inputs(name)), **options)
    if name.startswith("retinaface"):
        boxes, scores, marks = made
        return {f"{name} {part}": sampled(value) for part, value in zip("sbm", (scores, boxes, marks), strict=True)}
    return {f"{name} 0": sampled(made[0].numpy())}


def main() -> None:
    for module in (stylegan2_arch, gfpganv1_arch):
        module.FusedLeakyReLU, module.fused_leaky_relu = FusedLeakyReLU, fused_leaky_relu
    whole = {name: shapes(make()) for name, make in networks(small=False).items()}
    found: dict[str, Any] = {}
    for name in CASES:
        found |= outputs(name, networks(small=True)[name]())
    np.savez_compressed(sys.argv[1], **found)
    Path(sys.argv[2]).write_text(json.dumps(whole, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
