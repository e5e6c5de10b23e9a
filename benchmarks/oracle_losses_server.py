"""Losses and discriminators of the reference, on the cases of tests/trainer/losses/cases.py.

    python oracle_losses_server.py RESULTS.npz

Runs where basicsr 1.4.2 and realesrgan 0.3.0 are, and on PYTHONPATH this project and the packages that
`oracle_losses` names. Everything is computed in float64: then no sign of a difference and no activation depends on
rounding.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from oracle_adversarial_server import discriminator, gan, layout  # type: ignore[import-not-found]  # beside this file
from reference_server import shim  # type: ignore[import-not-found]
from torch import nn

from tests.trainer.losses import cases
from tests.trainer.losses.cases import DISCRIMINATORS, GAN, LOSSES, RELEASED, kept, pictures, weights


def stand_ins() -> None:
    """What packages import and never use here, and torchvision's VGG without the 120 M weights of its classifier."""
    shim()
    for name, part in (("IPython", "embed"), ("torchsummary", "summary")):
        sys.modules.setdefault(name, types.ModuleType(name)).__dict__[part] = None
    from torchvision import models  # type: ignore[import-not-found]

    def plain(plan: str) -> Callable[..., Any]:
        return lambda **_: types.SimpleNamespace(
            features=fill(models.vgg.make_layers(models.vgg.cfgs[plan]), "features.")
        )

    models.vgg16 = models.vgg.vgg16 = plain("D")
    models.vgg19 = models.vgg.vgg19 = plain("E")


def fill(module: Any, prefix: str = "", rename: Callable[[str], str] = str) -> Any:
    """`module` with the weights of the cases; constants of filters stay."""
    state = module.state_dict()
    for name, value in state.items():
        if not name.endswith("filt") and not name.startswith("scaling"):
            state[name] = torch.from_numpy(weights(rename(prefix + name), tuple(value.shape)))
    module.load_state_dict(state)
    return module


def structural(name: str) -> Callable[..., Any]:
    if name == "ms-ssim":
        from pytorch_msssim import ms_ssim  # type: ignore[import-not-found]

        return lambda output, gt, ema: 1 - ms_ssim(output, gt, data_range=1, win_size=3, win_sigma=1.5)
    from skimage.metrics import structural_similarity  # type: ignore[import-not-found]

    def ssim(output: Any, gt: Any, ema: Any) -> Any:
        given = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
        planes = zip(output.detach().flatten(0, 1).numpy(), gt.flatten(0, 1).numpy(), strict=True)
        maps = [structural_similarity(x, y, full=True, **given)[1][5:-5, 5:-5] for x, y in planes]
        return torch.tensor(1 - np.mean(maps))

    return ssim


def spectra(name: str, options: dict[str, Any]) -> Callable[..., Any]:
    if options["kind"] == "fft":
        norm, weight = options.get("norm", "ortho"), options.get("weight", 1)

        def fft(output: Any, gt: Any, ema: Any) -> Any:
            first, second = (torch.view_as_real(torch.fft.fft2(x, norm=norm)) for x in (output, gt))
            return weight * nn.functional.l1_loss(first, second)

        return fft
    from focal_frequency_loss import FocalFrequencyLoss  # type: ignore[import-not-found]

    if name == "focal":
        made = FocalFrequencyLoss(loss_weight=2.0)
    else:
        made = FocalFrequencyLoss(alpha=0.5, patch_factor=2, log_matrix=True, batch_matrix=True)
    return lambda output, gt, ema: made(output, gt)


def pixels(name: str) -> Callable[..., Any]:
    from basicsr.losses.basic_loss import CharbonnierLoss, L1Loss  # type: ignore[import-not-found]
    from basicsr.losses.loss_util import get_refined_artifact_map  # type: ignore[import-not-found]

    if name == "charbonnier":
        return lambda output, gt, ema: CharbonnierLoss(0.7, eps=1e-6)(output, gt)
    if name == "l1":
        return lambda output, gt, ema: L1Loss()(output, gt)

    def ldl(output: Any, gt: Any, ema: Any) -> Any:
        weight = get_refined_artifact_map(gt, output, ema, 7)
        return L1Loss()(weight * output, weight * gt)

    return ldl


def perceptual(options: dict[str, Any]) -> Callable[..., Any]:
    from basicsr.losses.basic_loss import PerceptualLoss

    layers = options.get("layers", {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1, "conv4_4": 1, "conv5_4": 1})
    style = options.get("style", 0)
    made = PerceptualLoss(layers, vgg_type=options.get("trunk", "vgg19"), style_weight=style).double()

    def compute(output: Any, gt: Any, ema: Any) -> Any:
        features, grams = made(output, gt)
        return features if grams is None else features + grams

    return compute


def anime() -> Callable[..., Any]:
    """APISR's, with its features left on the graph."""
    from torchvision import models

    body = nn.Sequential(*list(models.resnet50(weights=None).children())[:-2])
    fill(body, "0.")
    body.double().eval()
    wanted = {"0": 0.1, "4.2.conv3": 20, "5.3.conv3": 25, "6.5.conv3": 1, "7.2.conv3": 1}
    seen: dict[str, Any] = {}
    for name in wanted:
        body.get_submodule(name).register_forward_hook(lambda _, __, x, name=name: seen.__setitem__(name, x.clone()))
    mean, deviation = (torch.tensor(x).double().view(3, 1, 1) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def features(x: Any) -> dict[str, Any]:
        body((x - mean) / deviation)
        return dict(seen)

    def compute(output: Any, gt: Any, ema: Any) -> Any:
        first, second = features(output), features(gt)
        return 0.5 * sum(weight * nn.functional.l1_loss(first[name], second[name]) for name, weight in wanted.items())

    return compute


def lpips(net: str) -> Callable[..., Any]:
    if net.startswith("st-"):
        from stlpips_pytorch.stlpips import LPIPS  # type: ignore[import-not-found]

        made = fill(LPIPS(pretrained=False, net=net[3:], variant="shift_tolerant", verbose=False), rename=head)
    else:
        from lpips import LPIPS as Original  # type: ignore[import-not-found]

        made = Original(pretrained=False, net=net, pnet_rand=True, verbose=False)
        fill(made, rename=lambda name: head(re.sub(r"net\.slice\d", "features", name)))
    made.double().eval()
    return lambda output, gt, ema: made(output, gt, normalize=True).mean()


def head(name: str) -> str:
    """The heads have two names in the module."""
    return re.sub(r"lins\.", "lin", name)


def dists() -> Callable[..., Any]:
    from DISTS_pytorch import DISTS  # type: ignore[import-not-found]

    made = DISTS(load_weights=False)
    made.alpha.data, made.beta.data = (torch.from_numpy(weights(x, (1, 1475, 1, 1))) for x in ("alpha", "beta"))
    made.double()
    return lambda output, gt, ema: made(output, gt, require_grad=True, batch_average=True)


def oracle(name: str, options: dict[str, Any]) -> Callable[..., Any]:
    kind = options["kind"]
    if kind in ("ssim", "ms-ssim"):
        return structural(kind)
    if kind in ("fft", "focal-frequency"):
        return spectra(name, options)
    if kind == "lpips":
        return lpips(options["net"])
    if kind == "perceptual":
        return perceptual(options)
    return {"anime": anime, "dists": dists}.get(kind, lambda: pixels(kind))()


def loss(name: str) -> dict[str, Any]:
    given = {key: torch.from_numpy(value).double() for key, value in pictures(name, cases.side(name)).items()}
    output = given["output"].requires_grad_()
    value = oracle(name, LOSSES[name])(output, given["gt"], given["ema"])
    results = {"value": value.detach().numpy()}
    if value.requires_grad:
        value.backward()
        results["gradient"] = kept(output.grad.numpy())
    return results


def main() -> None:
    stand_ins()
    results = {f"loss/{name}/{key}": x for name in LOSSES for key, x in loss(name).items()}
    for scales in (1, 3):
        results |= {f"gan {scales}/{name}/{key}": x for name in GAN for key, x in gan(name, scales).items()}
    results |= {f"net/{name}/{key}": x for name in DISCRIMINATORS for key, x in discriminator(name, fill).items()}
    results |= {f"layout/{name}/names": layout(options) for name, options in RELEASED.items()}
    np.savez_compressed(sys.argv[1], **results)


if __name__ == "__main__":
    main()
