"""Which device, and which number format on it."""

from __future__ import annotations

import torch

from ..errors import DeviceError, UsageError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def pick_device(name: str) -> torch.device:
    """The device called `name`: auto, cpu, cuda, cuda:N or mps.

    Raises UsageError for other names, DeviceError for a device that this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device: {name!r} is unknown, allowed are auto, cpu, cuda, cuda:N and mps") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"--device: {name!r} is not supported, allowed are auto, cpu, cuda, cuda:N and mps")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        seen = f"this PyTorch ({torch.__version__}) sees {torch.cuda.device_count()} CUDA devices"
        raise DeviceError(f"--device: {name} is absent, {seen}", "vidsr doctor shows what this machine can do")
    if device.type == "mps" and not _has_mps():
        raise DeviceError("--device: mps is absent on this machine", "vidsr doctor shows what this machine can do")
    return device


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # absent on other processors than x86
        return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
    return False


def pick_precision(asked: str, device: torch.device, able: frozenset[str]) -> str:
    """fp32, fp16 or bf16: what was asked, or for auto the fastest that device and network (`able`) both do well.

    Raises UsageError for fp16 on a CPU, which has no arithmetic for it, and for what the network cannot do.
    """
    if asked == "auto":
        if device.type in ("cuda", "mps") and "fp16" in able:
            return "fp16"
        return "bf16" if has_fast_bf16(device) and "bf16" in able else "fp32"
    if asked == "fp16" and device.type == "cpu":
        raise UsageError("--precision: fp16 is not allowed on a CPU, allowed are auto, fp32 and bf16")
    if asked not in able:
        raise UsageError(f"--precision: {asked} is not allowed for this network, allowed are {', '.join(sorted(able))}")
    return asked
