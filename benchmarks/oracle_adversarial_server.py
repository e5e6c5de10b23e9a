"""Adversarial losses and discriminators of the reference; see oracle_losses_server.py, which runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import spectral_norm

from tests.trainer.losses import cases
from tests.trainer.losses.cases import DISCRIMINATORS, GAN, SIDES, pictures


def gan(name: str, scales: int) -> dict[str, Any]:
    from basicsr.losses.gan_loss import GANLoss, MultiScaleGANLoss  # type: ignore[import-not-found]

    options = GAN[name]
    average = options["kind"] == "relativistic"
    kind = "vanilla" if average else options["kind"]
    made = (MultiScaleGANLoss if scales > 1 else GANLoss)(
        kind, options.get("real", 1.0), options.get("fake", 0.0), options.get("weight", 0.1)
    )
    results = {}
    for step in ("generator", "discriminator"):
        fake, real = (
            [torch.from_numpy(cases.logits(part, scale)).double().requires_grad_() for scale in range(scales)]
            for part in ("fake", "real")
        )
        given = (fake, real) if scales > 1 else (fake[0], real[0])
        value = (relativistic if average else absolute)(made, step, *given)
        value.backward()
        results |= {step: value.detach().numpy(), f"{step} fake": fake[0].grad.numpy()}
        results |= {f"{step} real": real[0].grad.numpy()} if step == "discriminator" else {}
    return results


def absolute(made: Any, step: str, fake: Any, real: Any) -> Any:
    """As in basicsr's SRGANModel and RealESRGANModel."""
    if step == "generator":
        return made(fake, True, is_disc=False)
    return made(real, True, is_disc=True) + made(fake, False, is_disc=True)


def relativistic(made: Any, step: str, fake: Any, real: Any) -> Any:
    """As in basicsr's ESRGANModel."""
    if step == "generator":
        real = off_graph(real)
        return (made(less(real, fake), False, is_disc=False) + made(less(fake, real), True, is_disc=False)) / 2
    to_real = made(less(real, off_graph(fake)), True, is_disc=True)
    return (to_real + made(less(fake, off_graph(real)), False, is_disc=True)) / 2


def less(first: Any, second: Any) -> Any:
    """Less the mean of the other, at every scale."""
    if isinstance(first, list):
        return [x - y.mean() for x, y in zip(first, second, strict=True)]
    return first - second.mean()


def off_graph(given: Any) -> Any:
    return [x.detach() for x in given] if isinstance(given, list) else given.detach()


class Patches(nn.Module):
    """AnimeSR's discriminator, written after its description on torch's own spectral norm: it is in no package."""

    def __init__(self, features: int, layers: tuple[int, ...], downscale: bool, widest: int) -> None:
        super().__init__()
        self.downscale = downscale
        self.dis_list = nn.ModuleList()
        for count in layers:
            body = [spectral_norm(nn.Conv2d(3, features, 4, 2, 1)), nn.LeakyReLU(0.2)]
            inputs = features
            for number in range(1, count + 1):
                outputs = features * min(2**number, widest)
                conv = nn.Conv2d(inputs, outputs, 4, 2 if number < count else 1, 1)
                body += [spectral_norm(conv), nn.Identity(), nn.LeakyReLU(0.2)]
                inputs = outputs
            part = nn.Module()
            part.model = nn.Sequential(*body, spectral_norm(nn.Conv2d(inputs, 1, 4, 1, 1)))
            self.dis_list.append(part)

    def forward(self, x: Any) -> list[Any]:
        found = []
        for number, part in enumerate(self.dis_list):
            if number and self.downscale:
                half = [size // 2 for size in x.shape[-2:]]
                x = nn.functional.interpolate(x, size=half, mode="bilinear", align_corners=True)
            found.append(part.model(x))
        return found


def network(options: dict[str, Any]) -> Any:
    from basicsr.archs.discriminator_arch import VGGStyleDiscriminator  # type: ignore[import-not-found]
    from realesrgan.archs.discriminator_arch import UNetDiscriminatorSN  # type: ignore[import-not-found]

    features = options.get("features", 64)
    if options["kind"] == "unet-sn":
        return UNetDiscriminatorSN(3, features, skip_connection=options.get("skip", True))
    if options["kind"] == "vgg-style":
        return VGGStyleDiscriminator(3, features, input_size=options.get("size", 128))
    layers = options.get("layers", (3, 3, 3))
    return Patches(features, layers, options.get("downscale", True), options.get("widest", 8))


def discriminator(name: str, fill: Callable[[Any], Any]) -> dict[str, Any]:
    """`fill` gives a module its weights."""
    made = fill(network(DISCRIMINATORS[name])).double().train()
    shown = pictures(name, SIDES.get(name, 128))
    gt, output = (torch.from_numpy(shown[key]).double() for key in ("gt", "output"))
    real, fake = flat(made(gt)), flat(made(output))
    (real.square().sum() + fake.sum()).backward()
    gradients = np.array([float(value.grad.norm()) for _, value in sorted(made.named_parameters())])
    with torch.no_grad():
        still = flat(made.eval()(output))
    return {"real": real.detach().numpy(), "fake": fake.detach().numpy(), "eval": still.numpy(), "gradients": gradients}


def flat(found: Any) -> Any:
    parts = found if isinstance(found, list) else [found]
    return torch.cat([part.flatten() for part in parts])[::5]


def layout(options: dict[str, Any]) -> Any:
    state = network(options).state_dict()
    return np.array(sorted(f"{name} {'x'.join(map(str, value.shape))}" for name, value in state.items()))
