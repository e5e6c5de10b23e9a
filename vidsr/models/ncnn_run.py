"""A network run by ncnn itself, to compare with. The package `ncnn` is needed by this and nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import WeightsError
from .ncnn_write import INPUT, OUTPUT


def run_ncnn(param: str, binary: bytes) -> Callable[[Tensor], Tensor]:
    """What a pair of files computes, 1 3 H W float32 to 1 3 sH sW, in float32 on the CPU.

    Raises WeightsError when ncnn does not take the files.
    """
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = torch.get_num_threads()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    with tempfile.TemporaryDirectory() as folder:  # ncnn reads files only
        path = Path(folder) / "net.param"
        path.write_text(param, encoding="ascii")
        path.with_suffix(".bin").write_bytes(binary)
        if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
            raise WeightsError("ncnn does not take the files that were made")

    def run(rgb: Tensor) -> Tensor:
        extractor = net.create_extractor()
        picture = np.ascontiguousarray(rgb[0].numpy(), dtype=np.float32)
        extractor.input(INPUT, ncnn.Mat(picture).clone())  # a Mat does not own the array it is made from
        status, out = extractor.extract(OUTPUT)
        if status:
            raise WeightsError(f"ncnn fails with code {status}")
        return torch.from_numpy(np.array(out))[None]

    return run
