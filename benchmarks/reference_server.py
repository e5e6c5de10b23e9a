"""The reference, `RealESRGANer` of the PyPI package realesrgan, doing one frame whenever it is asked to.

It runs in an environment of its own (`benchmarks.peers` makes it) and shares no code with vidsr. One JSON object a
line on stdin, one a line on stdout:

    {"weights": "a.pth", "arch": "compact" | "rrdb", "convolutions": 16, "blocks": 6, "scale": 4, "threads": 2}
    {"do": "enhance", "frame": "f.npy"}      RealESRGANer.enhance of H W 3 uint8 BGR, as the reference's script calls it
    {"do": "network", "frame": "f.npy"}      its network alone, N 3 H W float32 to N 3 sH sW
    {"do": "save", "frame": "f.npy", "to": "o.npy"}
"""

from __future__ import annotations

import json
import sys
import time
import types
from typing import Any


def shim() -> None:
    """torchvision took away the module from which basicsr 1.4.2 imports one function; the function is still there."""
    from torchvision.transforms import functional  # type: ignore[import-not-found]

    module: Any = types.ModuleType("torchvision.transforms.functional_tensor")
    module.rgb_to_grayscale = functional.rgb_to_grayscale
    sys.modules.setdefault(module.__name__, module)


def load(asked: dict[str, Any]) -> Any:
    import torch

    shim()
    from basicsr.archs.rrdbnet_arch import RRDBNet  # type: ignore[import-not-found]
    from realesrgan import RealESRGANer  # type: ignore[import-not-found]
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact  # type: ignore[import-not-found]

    torch.set_num_threads(asked["threads"])
    scale = asked["scale"]
    if asked["arch"] == "compact":
        network = SRVGGNetCompact(3, 3, num_feat=64, num_conv=asked["convolutions"], upscale=scale, act_type="prelu")
    else:
        network = RRDBNet(3, 3, num_feat=64, num_block=asked["blocks"], num_grow_ch=32, scale=scale)
    return RealESRGANer(scale, asked["weights"], model=network, tile=0, tile_pad=10, pre_pad=0, half=False, gpu_id=None)


def answer(upsampler: Any, asked: dict[str, Any]) -> dict[str, Any]:
    import numpy as np
    import torch

    frame = np.load(asked["frame"])
    if asked["do"] == "network":
        picture = np.ascontiguousarray(frame[..., ::-1].transpose(2, 0, 1)[None], np.float32) / 255
        tensor = torch.from_numpy(picture).to(upsampler.device)
        begun = time.perf_counter()
        with torch.no_grad():
            upsampler.model(tensor)
        return {"seconds": time.perf_counter() - begun}
    begun = time.perf_counter()
    output, _ = upsampler.enhance(frame, outscale=upsampler.scale)
    seconds = time.perf_counter() - begun
    if asked["do"] == "save":
        np.save(asked["to"], output)
    return {"seconds": seconds}


def main() -> None:
    replies, sys.stdout = sys.stdout, sys.stderr  # whatever the packages print is talk, not a reply

    def reply(values: dict[str, Any]) -> None:
        replies.write(json.dumps(values) + "\n")
        replies.flush()

    upsampler = load(json.loads(sys.stdin.readline()))
    import torch

    reply({"torch": torch.__version__, "threads": torch.get_num_threads(), "device": str(upsampler.device)})
    for line in sys.stdin:
        reply(answer(upsampler, json.loads(line)))


if __name__ == "__main__":
    main()
