"""What this package makes of the cases, for the tests and for benchmarks/oracle_losses.py."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from trainer import nets
from trainer.losses import build, gan
from trainer.losses.anime import ResNet50
from trainer.losses.base import Loss
from trainer.losses.context import LossContext
from trainer.losses.dists import TAPS
from trainer.losses.lpips import LPIPSDistance
from trainer.losses.options import REFERENCE_LAYERS, GanOptions, LossOptions
from trainer.losses.trunk import VGG, WIDTHS, layer_names
from trainer.nets.options import DiscriminatorOptions

from .cases import DISCRIMINATORS, GAN, LOSSES, SIDES, Array, kept, logits, pictures, side, weights


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(weights(name, shape)) for name, shape in shapes.items()}


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def vgg_state(depth: str, taps: Iterable[str]) -> dict[str, Tensor]:
    """Under torchvision's names, as far as `taps` need it."""
    names = layer_names(depth)
    with torch.device("meta"):
        trunk = VGG(depth, taps)  # type: ignore[arg-type]
    places = {f"layers.{name}": f"features.{place}" for place, name in enumerate(names)}
    shapes = {f"{places[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": s for key, s in _shapes(trunk).items()}
    return filled(shapes)


def lpips_states(net: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The heads (with the network, where one file has both) and torchvision's network."""
    network = LPIPSDistance(net)
    heads = filled({f"lin{place}.model.1.weight": tuple(head.shape) for place, head in enumerate(network.heads)})
    layers = {key: value for key, value in network.state_dict().items() if key.startswith("layers.")}
    if not net.startswith("st-"):
        return heads, filled({key.replace("layers", "features"): tuple(value.shape) for key, value in layers.items()})
    for key, value in layers.items():
        place = int(key.split(".")[1])
        part = next(number for number, end in enumerate(network.ends) if place < end)
        name = f"net.slice{part}.{key.removeprefix('layers.')}"
        heads[name] = value if key.endswith("filt") else torch.from_numpy(weights(name, tuple(value.shape)))
    return heads, {}


def states(options: dict[str, Any]) -> dict[str, dict[str, Tensor]]:
    """What the files that a loss needs hold, by the key of its options."""
    if options["kind"] == "perceptual":
        return {"weights": vgg_state(options.get("trunk", "vgg19"), options.get("layers", REFERENCE_LAYERS))}
    if options["kind"] == "anime":
        with torch.device("meta"):
            shapes = _shapes(ResNet50())
        body = filled({f"0.{key}": shape for key, shape in shapes.items()})
        return {"weights": {**body, "1.8.weight": torch.zeros(1)}}
    if options["kind"] == "lpips":
        heads, trunk = lpips_states(options["net"])
        return {"weights": heads, **({"trunk": trunk} if trunk else {})}
    if options["kind"] == "dists":
        channels = (1, 3 + sum(WIDTHS), 1, 1)
        return {"weights": filled({"alpha": channels, "beta": channels}), "trunk": vgg_state("vgg16", TAPS)}
    return {}


def with_files(options: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The options, with files of random weights in `folder`, and their hashes."""
    given = dict(options)
    for key, state in states(options).items():
        path = folder / f"{options['kind']} {options.get('net', options.get('trunk', ''))} {key}.pth"
        if not path.exists():
            torch.save(state, path)
        hash_key = "sha256" if key == "weights" else f"{key}_sha256"
        given |= {key: path, hash_key: hashlib.sha256(path.read_bytes()).hexdigest()}
    return given


def loss(options: dict[str, Any], folder: Path) -> Loss:
    return build(TypeAdapter(LossOptions).validate_python(with_files(options, folder)))


def loss_results(name: str, folder: Path) -> dict[str, Array]:
    """`value` and `gradient` in float64, `single`: the value in float32."""
    made = loss(LOSSES[name], folder)
    given = {key: torch.from_numpy(value) for key, value in pictures(name, side(name)).items()}
    single = made(LossContext(given["output"], given["gt"], given["gt"], ema_output=given["ema"]))
    gt, ema = given["gt"].double(), given["ema"].double()
    output = given["output"].double().requires_grad_()
    value = made.double()(LossContext(output, gt, gt, ema_output=ema))
    value.backward()
    assert output.grad is not None
    return {
        "value": value.detach().numpy(),
        "gradient": kept(output.grad.numpy()),
        "single": single.detach().double().numpy(),
    }


def gan_results(name: str, scales: int) -> dict[str, Array]:
    """Values, and gradients for the logits of the first scale; a list of logits where there are several scales."""
    made = gan.build(TypeAdapter(GanOptions).validate_python(GAN[name]))
    results = {}
    for step in ("generator", "discriminator"):
        fake, real = (
            [torch.from_numpy(logits(kind, scale)).double().requires_grad_() for scale in range(scales)]
            for kind in ("fake", "real")
        )
        value = getattr(made, step)(*((fake, real) if scales > 1 else (fake[0], real[0])))
        value.backward()
        results |= {step: value.detach().numpy(), f"{step} fake": fake[0].grad.numpy()}
        results |= {f"{step} real": real[0].grad.numpy()} if step == "discriminator" else {}
    return results


def discriminator(options: dict[str, Any]) -> nn.Module:
    network = nets.build(TypeAdapter(DiscriminatorOptions).validate_python(options))
    network.load_state_dict(filled(_shapes(network)))
    return network


def discriminator_results(name: str) -> dict[str, Array]:
    """The logits of two passes in training mode and one in eval mode, and what the first pass' gradients are."""
    network = discriminator(DISCRIMINATORS[name]).double()
    shown = pictures(name, SIDES.get(name, 128))
    gt, output = (torch.from_numpy(shown[key]).double() for key in ("gt", "output"))
    real, fake = _flat(network(gt)), _flat(network(output))
    (real.square().sum() + fake.sum()).backward()
    norms = {key: float(value.grad.norm()) for key, value in sorted(network.named_parameters())}  # type: ignore[union-attr]
    with torch.no_grad():
        still = _flat(network.eval()(output))
    return {
        "real": real.detach().numpy(), "fake": fake.detach().numpy(), "eval": still.numpy(),
        "gradients": np.array(list(norms.values())),
    }  # fmt: skip


def _flat(found: Tensor | list[Tensor]) -> Tensor:
    """Every fifth logit."""
    parts = found if isinstance(found, list) else [found]
    return torch.cat([part.flatten() for part in parts])[::5]


def layout(options: dict[str, Any]) -> list[str]:
    """Names and shapes of a state dict, sorted."""
    network = nets.build(TypeAdapter(DiscriminatorOptions).validate_python(options))
    return sorted(f"{name} {'x'.join(map(str, shape))}" for name, shape in _shapes(network).items())


def distance(first: Array, second: Array) -> float:
    """Largest difference, relative to the largest value."""
    return float(np.abs(first - second).max() / max(np.abs(second).max(), 1e-12))
