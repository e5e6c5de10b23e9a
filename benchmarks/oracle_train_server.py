"""The reference's trainer (basicsr 1.4.2, realesrgan 0.3.0) on a CPU, doing iterations whenever it is asked to.

It runs in the environment of `benchmarks.reference`. The first argument is JSON: {"stage": "net" or "gan",
"pictures": folder, "batch", "features" of the discriminator}. Each line on stdin is a number of iterations, each on
stdout what each of them took, {"wall", "cpu", "waiting", "degrading", "sharpening", "learning"} in seconds, and its L1;
sharpening is a part of degrading.

Two things are replaced: what asks for a GPU, and a padding whose memory the filter cannot view on a CPU.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from reference_server import shim  # type: ignore[import-not-found]  # beside this file

shim()
import realesrgan.archs  # type: ignore[import-not-found]  # noqa: E402, F401  # registers its networks
from basicsr.data import build_dataloader  # type: ignore[import-not-found]  # noqa: E402
from basicsr.data.data_sampler import EnlargedSampler  # type: ignore[import-not-found]  # noqa: E402
from basicsr.data.prefetch_dataloader import CPUPrefetcher  # type: ignore[import-not-found]  # noqa: E402
from oracle_degrade_server import DATA, TRAIN, filter2D, model_module  # type: ignore[import-not-found]  # noqa: E402
from realesrgan.data.realesrgan_dataset import RealESRGANDataset  # type: ignore[import-not-found]  # noqa: E402
from realesrgan.models import realesrnet_model  # type: ignore[import-not-found]  # noqa: E402

for module in (model_module, realesrnet_model):
    module.filter2D = lambda pixels, kernels: filter2D(pixels.contiguous(), kernels)
torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_, **__: self  # type: ignore[method-assign, assignment]


class Timed:
    """A function that remembers how long it took."""

    def __init__(self, work: Any) -> None:
        self.work, self.seconds = work, 0.0

    def __call__(self, *given: Any) -> Any:
        began = time.perf_counter()
        result = self.work(*given)
        self.seconds += time.perf_counter() - began
        return result


def model(asked: dict[str, Any]) -> Any:
    """RealESRNetModel or RealESRGANModel with SRVGG-16 x4 and the constants of its recipes, but for the VGG loss, whose
    file is not asked for on either side."""
    adam = {"type": "Adam", "lr": 1e-4, "weight_decay": 0, "betas": [0.9, 0.99]}
    options = TRAIN | {
        "num_gpu": 0, "is_train": True, "dist": False, "scale": 4, "gt_size": 256, "queue_size": 4 * asked["batch"],
        "gt_usm": True, "l1_gt_usm": True, "percep_gt_usm": True, "gan_gt_usm": False, "path": {},
        "network_g": {"type": "SRVGGNetCompact", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, "num_conv": 16,
                      "upscale": 4, "act_type": "prelu"},
        "network_d": {"type": "UNetDiscriminatorSN", "num_in_ch": 3, "num_feat": asked["features"],
                      "skip_connection": True},
        "train": {
            "ema_decay": 0.999, "optim_g": dict(adam), "optim_d": dict(adam),
            "scheduler": {"type": "MultiStepLR", "milestones": [400000], "gamma": 0.5},
            "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"},
            "gan_opt": {"type": "GANLoss", "gan_type": "vanilla", "real_label_val": 1.0, "fake_label_val": 0.0,
                        "loss_weight": 0.1},
        },
    }  # fmt: skip
    kind = model_module.RealESRGANModel if asked["stage"] == "gan" else realesrnet_model.RealESRNetModel
    return kind(options)


def loader(asked: dict[str, Any]) -> Any:
    """Its data set and loader, with one process."""
    folder = Path(asked["pictures"])
    listing = Path(asked["listing"])
    listing.write_text("".join(f"{path.name}\n" for path in sorted(folder.glob("*.png"))))
    options = DATA | {
        "dataroot_gt": str(folder), "meta_info": str(listing), "use_hflip": True, "phase": "train", "name": "pictures",
        "num_worker_per_gpu": 1, "batch_size_per_gpu": asked["batch"], "use_shuffle": True,
        "dataset_enlarge_ratio": 100,
    }  # fmt: skip
    data = RealESRGANDataset(options)
    sampler = EnlargedSampler(data, 1, 0, 100)
    return CPUPrefetcher(build_dataloader(data, options, num_gpu=1, dist=False, sampler=sampler, seed=1))


def turns(asked: dict[str, Any]) -> Iterator[Any]:
    """What each iteration took, in the order of basicsr/train.py."""
    torch.set_num_threads(1)
    trained, batches = model(asked), loader(asked)
    usm = trained.usm_sharpener = Timed(trained.usm_sharpener)
    number = 0
    while True:
        number += 1
        usm.seconds = 0.0
        began, cpu = time.perf_counter(), time.process_time()
        batch = batches.next()
        if batch is None:
            batches.reset()
            batch = batches.next()
        got = time.perf_counter()
        trained.update_learning_rate(number, warmup_iter=-1)
        trained.feed_data(batch)
        fed = time.perf_counter()
        trained.optimize_parameters(number)
        done = time.perf_counter()
        losses = trained.get_current_log()
        yield {
            "wall": done - began, "cpu": time.process_time() - cpu, "waiting": got - began, "degrading": fed - got,
            "sharpening": usm.seconds, "learning": done - fed,
            "l1": float(losses.get("l_pix", losses.get("l_g_pix", 0.0))),
        }  # fmt: skip


def main() -> None:
    replies, sys.stdout = sys.stdout, sys.stderr  # whatever the packages print is talk, not a reply
    steps = turns(json.loads(sys.argv[1]))
    for line in sys.stdin:
        replies.write(json.dumps([next(steps) for _ in range(int(line))]) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
