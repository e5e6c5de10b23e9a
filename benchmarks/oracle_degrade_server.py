"""Degradations of basicsr 1.4.2 and realesrgan 0.3.0, in the environment of `benchmarks.reference`.

python oracle_degrade_server.py goldens IN.npz OUT.npz      the functions, and whole chains with draws given
python oracle_degrade_server.py draws COUNT OUT.npz         what the trainer of the reference draws
python oracle_degrade_server.py time SAMPLES                seconds per sample of 400x400 on one core
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from reference_server import shim  # type: ignore[import-not-found]  # beside this file

shim()
from basicsr.data import degradations, transforms  # type: ignore[import-not-found]  # noqa: E402
from basicsr.utils import DiffJPEG, USMSharp  # type: ignore[import-not-found]  # noqa: E402
from basicsr.utils.img_process_util import filter2D  # type: ignore[import-not-found]  # noqa: E402
from realesrgan.data import realesrgan_dataset as dataset_module  # type: ignore[import-not-found]  # noqa: E402
from realesrgan.models import realesrgan_model as model_module  # type: ignore[import-not-found]  # noqa: E402

KINDS = ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
PROBABILITIES = [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
DATA = {
    "io_backend": {"type": "disk"}, "dataroot_gt": "", "use_hflip": False, "use_rot": False, "final_sinc_prob": 0.8,
    "blur_kernel_size": 21, "kernel_list": KINDS, "kernel_prob": PROBABILITIES, "sinc_prob": 0.1,
    "blur_sigma": [0.2, 3], "betag_range": [0.5, 4], "betap_range": [1, 2],
    "blur_kernel_size2": 21, "kernel_list2": KINDS, "kernel_prob2": PROBABILITIES, "sinc_prob2": 0.1,
    "blur_sigma2": [0.2, 1.5], "betag_range2": [0.5, 4], "betap_range2": [1, 2],
}  # fmt: skip
"""options/train_realesrgan_x4plus.yml, as all its recipes."""
TRAIN = {
    "resize_prob": [0.2, 0.7, 0.1], "resize_range": [0.15, 1.5], "gaussian_noise_prob": 0.5, "noise_range": [1, 30],
    "poisson_scale_range": [0.05, 3], "gray_noise_prob": 0.4, "jpeg_range": [30, 95], "second_blur_prob": 0.8,
    "resize_prob2": [0.3, 0.4, 0.3], "resize_range2": [0.3, 1.2], "gaussian_noise_prob2": 0.5, "noise_range2": [1, 25],
    "poisson_scale_range2": [0.05, 2.5], "gray_noise_prob2": 0.4, "jpeg_range2": [30, 95],
}  # fmt: skip


class Torch:
    """torch with some functions replaced."""

    def __init__(self, **others: Any) -> None:
        self.__dict__.update(others)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def trainer(scale: int, gt_size: int) -> Any:
    """The reference's training model without networks, on the CPU and without its pool."""
    model = model_module.RealESRGANModel.__new__(model_module.RealESRGANModel)
    model.opt = TRAIN | {"scale": scale, "gt_size": gt_size}
    model.device, model.is_train = torch.device("cpu"), True
    model.jpeger, model.usm_sharpener = DiffJPEG(differentiable=False), USMSharp()
    model._dequeue_and_enqueue = lambda: None
    # What JPEG gives has its channels last; torch's padding keeps that on a CPU, and the filter's `view` then fails.
    model_module.filter2D = lambda pixels, kernels: filter2D(pixels.contiguous(), kernels)
    return model


# ----- goldens: the same draws in


def fixed_fields(given: dict[str, Any]) -> Torch:
    """Numbers in place of random ones, the same for every sample."""
    normal, uniform = torch.from_numpy(given["normal"]), torch.from_numpy(given["uniform"])

    def randn(*shape: int, **_: Any) -> torch.Tensor:
        height, width = shape[-2:]
        return normal[0, :height, :width] if len(shape) == 2 else normal[:, :height, :width].expand(shape)

    def poisson(rates: torch.Tensor) -> torch.Tensor:
        _, c, h, w = rates.shape
        return torch.floor(rates + uniform[:c, :h, :w])

    return Torch(randn=randn, poisson=poisson)


def functions(given: dict[str, Any]) -> dict[str, Any]:
    """Each function alone."""
    made: dict[str, Any] = {}
    for name, (kind, taps, others) in json.loads(str(given["kernels"])).items():
        made[f"kernel {name}"] = kernel(kind, taps, others)
    picture = torch.from_numpy(given["picture"])
    made["filter"] = filter2D(picture, torch.from_numpy(given["stack"]))
    made["usm"] = USMSharp()(torch.from_numpy(given["large"]))
    qualities = torch.from_numpy(given["qualities"])
    made["jpeg"] = DiffJPEG(differentiable=False)(picture, quality=qualities.clone())
    made["jpeg differentiable"] = DiffJPEG(differentiable=True)(picture, quality=qualities.clone())
    degradations.torch = fixed_fields(given)
    for name in ("gaussian", "poisson"):
        levels, gray = (torch.from_numpy(given[f"{name} {part}"]) for part in ("levels", "gray"))
        make = getattr(degradations, f"generate_{name}_noise_pt")
        made[name] = make(picture[: len(levels)], levels, gray)
    degradations.torch = torch
    return {name: np.asarray(value, np.float32) for name, value in made.items()}


def kernel(kind: str, taps: int, others: dict[str, Any]) -> Any:
    if kind == "sinc":
        return degradations.circular_lowpass_kernel(others["cutoff"], taps)
    names = {"gaussian": "Gaussian", "generalized": "generalized_Gaussian", "plateau": "plateau"}
    make = getattr(degradations, f"bivariate_{names[kind]}")
    beta = [others["beta"]] if "beta" in others else []
    return make(taps, *others["sigma"], others["angle"], *beta, isotropic=others["sigma"][0] == others["sigma"][1])


def chain(given: dict[str, Any], name: str) -> dict[str, Any]:
    """`feed_data` with everything random replaced by the values of a script, in the order it asks for them."""
    job = json.loads(str(given[name]))
    script = defaultdict(list, job["script"])
    fields = fixed_fields(given)
    fields.__dict__["rand"] = lambda *_, **__: torch.tensor(script["rand"].pop(0))
    degradations.torch = fields
    model_module.random = SimpleNamespace(
        choices=lambda *_: [script["choices"].pop(0)], choice=lambda _: script["choice"].pop(0)
    )
    model_module.np = SimpleNamespace(random=SimpleNamespace(uniform=lambda *_: script["uniform"].pop(0)))
    transforms.random = SimpleNamespace(randint=lambda *_: script["randint"].pop(0))
    uniform_ = torch.Tensor.uniform_
    torch.Tensor.uniform_ = lambda self, *_: self.copy_(torch.tensor(script["uniform_"].pop(0)))  # type: ignore
    model = trainer(job["scale"], job["gt_size"])
    model.feed_data(
        {part: torch.from_numpy(given[f"{name} {part}"]) for part in ("gt", "kernel1", "kernel2", "sinc_kernel")}
    )
    torch.Tensor.uniform_ = uniform_  # type: ignore[method-assign]
    degradations.torch, model_module.random, model_module.np, transforms.random = torch, random, np, random
    left = {part: values for part, values in script.items() if values}
    if left:
        raise SystemExit(f"{name}: the reference did not ask for {left}")
    codes = (model.lq * 255).round().to(torch.uint8)
    return {name: codes.numpy(), f"{name} gt": (model.gt[..., ::16, ::16] * 255).round().to(torch.uint8).numpy()}


# ----- draws: what the reference chooses by itself


class Silent:
    """Stands in for torch.nn.functional: `interpolate` computes nothing and writes down what it was asked for."""

    def __init__(self, seen: dict[str, list[Any]]) -> None:
        self.seen, self.calls = seen, 0

    def interpolate(self, pixels: Any, scale_factor: Any = None, size: Any = None, mode: str = "") -> Any:
        name = ("first", "second", "final")[self.calls % 3]
        self.calls += 1
        self.seen[f"{name} mode"].append(["area", "bilinear", "bicubic"].index(mode))
        if name != "final":
            self.seen[f"{name} factor"].append(scale_factor if size is None else size[0] / 100)
        return pixels if size is None else pixels.new_zeros(1, 3, *size)


def draws(count: int) -> dict[str, Any]:
    """Every choice of `count` samples, each a batch of its own."""
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    seen: dict[str, list[Any]] = defaultdict(list)
    data = dataset()
    model = trainer(4, 256)
    silent = Silent(seen)
    stage = lambda: ("first", "second", "second")[silent.calls % 3 - 1]  # noqa: E731
    model_module.F = silent
    blurs: list[str] = []
    model_module.filter2D = lambda pixels, _: (blurs.append(stage()), pixels)[1]
    model.usm_sharpener = lambda pixels: pixels
    record_noise(seen, stage)
    asked: list[str] = []

    def jpeger(pixels: Any, quality: Any) -> Any:
        asked.append("late" if silent.calls % 3 == 0 and len(asked) else "early")
        seen[f"{'first' if len(asked) == 1 else 'second'} quality"].append(float(quality))
        return pixels

    model.jpeger = jpeger

    def crop() -> None:  # called where the pool would be, when the crop still is a window of the whole
        place = model.lq.storage_offset()
        seen["crop"].append((place // 100, place % 100))

    model._dequeue_and_enqueue = crop
    gt = torch.zeros(1).expand(1, 3, 400, 400)
    for _ in range(count):
        asked.clear(), blurs.clear()
        sample = data[0]
        for name in ("kernel1", "kernel2", "sinc_kernel"):
            seen[name].append(sample[name].numpy())
        model.feed_data({"gt": gt} | {name: sample[name][None] for name in ("kernel1", "kernel2", "sinc_kernel")})
        seen["second blurred"].append(len(blurs) == 3)
        seen["jpeg last"].append(asked[1] == "late")
    return {name: np.asarray(values, np.float32) for name, values in seen.items()}


def record_noise(seen: dict[str, list[Any]], stage: Any) -> None:
    """The noise functions give none, and write down family, level and whether it is gray."""

    def recorder(family: str) -> Any:
        def record(pixels: Any, level: Any, gray: Any) -> Any:
            seen[f"{stage()} gaussian"].append(family == "gaussian")
            seen[f"{stage()} {family} level"].append(float(level))
            seen[f"{stage()} gray"].append(float(gray))
            return torch.zeros_like(pixels)

        return record

    degradations.generate_gaussian_noise_pt = recorder("gaussian")
    degradations.generate_poisson_noise_pt = recorder("poisson")


def dataset() -> Any:
    """The reference's data set of one black picture, which it neither reads nor copies."""
    dataset_module.FileClient = lambda *_, **__: SimpleNamespace(get=lambda *_: b"")
    dataset_module.imfrombytes = lambda *_, **__: np.zeros((400, 400, 3), np.float32)
    dataset_module.img2tensor = lambda pictures, **_: pictures
    listing = Path(sys.argv[-1]).with_suffix(".txt")
    listing.write_text("black.png\n")
    return dataset_module.RealESRGANDataset(DATA | {"meta_info": str(listing), "io_backend": {"type": "disk"}})


# ----- time


def seconds(samples: int) -> float:
    """Of one core per sample: the kernels of its data set and the chain of its model, in batches of 4."""
    torch.set_num_threads(1)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    data, model = dataset(), trainer(4, 256)
    gt = torch.rand(4, 3, 400, 400)
    taken = 0.0
    for number in range(-1, samples // 4):
        begun = time.process_time()
        made = [data[0] for _ in range(4)]
        model.feed_data(
            {"gt": gt} | {n: torch.stack([s[n] for s in made]) for n in ("kernel1", "kernel2", "sinc_kernel")}
        )
        taken += (time.process_time() - begun) * (number >= 0)
    return taken / (samples // 4 * 4)


def main() -> None:
    torch.set_grad_enabled(False)
    what, first, last = sys.argv[1], sys.argv[2], sys.argv[-1]
    if what == "goldens":
        with np.load(first) as loaded:
            given = dict(loaded)
        results = functions(given)
        for name in json.loads(str(given["chains"])):
            results |= chain(given, name)
        np.savez_compressed(last, **results)
    elif what == "draws":
        np.savez_compressed(last, **draws(int(first)))
    else:
        sys.stdout.write(f"{seconds(int(first))}\n")


if __name__ == "__main__":
    main()
