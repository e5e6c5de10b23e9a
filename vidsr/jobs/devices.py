"""Which devices there are, found without PyTorch: the supervisor stays small and never touches a GPU."""

from __future__ import annotations

import ctypes
import sys

from ..errors import UsageError
from ..options import Options

SEGMENT_PIXELS = {"cpu": 100e6, "cuda": 4e9}
"""Input pixels of a segment, about, by kind of device: some minutes of work, which is what a crash can cost."""


def devices_for(options: Options) -> list[str]:
    """The device of each worker: those of --devices, else that of --device, else every GPU, else one of any kind."""
    if options.devices != "auto":
        if options.device != "auto":
            raise UsageError("--device and --devices exclude each other", "leave one of them out")
        return options.devices.split(",")
    if options.device != "auto":
        return [options.device]
    return [f"cuda:{number}" for number in range(cuda_count())] or ["auto"]


def segment_frames(kind: str, width: int, height: int) -> int:
    """Frames of `width` by `height` in a segment, about, on a device of that kind."""
    return max(1, round(SEGMENT_PIXELS.get(kind, SEGMENT_PIXELS["cuda"]) / (width * height)))


def cuda_count() -> int:
    """GPUs that CUDA's driver shows; CUDA_VISIBLE_DEVICES counts. 0 without a driver."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return 0
    count = ctypes.c_int()
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0
