"""`RealESRGANer` of the PyPI package realesrgan on a list of calls, in the environment of `benchmarks.reference`.

    python oracle_compat_server.py JOBS.json RESULTS.npz

A job is {"name", "arch", "scale", "features", "depth", "growth", "weights": [paths], "options", "picture": path,
"call"}; its result lies under its name, and its mode under `mode <name>`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from reference_server import shim  # type: ignore[import-not-found]  # beside this file


def network(job: dict[str, Any]) -> Any:
    from basicsr.archs.rrdbnet_arch import RRDBNet  # type: ignore[import-not-found]
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact  # type: ignore[import-not-found]

    features, scale = job["features"], job["scale"]
    if job["arch"] == "compact":
        return SRVGGNetCompact(3, 3, num_feat=features, num_conv=job["depth"], upscale=scale, act_type="prelu")
    return RRDBNet(3, 3, num_feat=features, num_block=job["depth"], num_grow_ch=job["growth"], scale=scale)


def main() -> None:
    shim()
    from realesrgan import RealESRGANer  # type: ignore[import-not-found]

    results: dict[str, Any] = {}
    for job in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        paths = job["weights"]
        model_path = paths if len(paths) > 1 else paths[0]
        upsampler = RealESRGANer(job["scale"], model_path, model=network(job), device="cpu", **job["options"])
        result, mode = upsampler.enhance(np.load(job["picture"]), **job["call"])
        results[job["name"]], results[f"mode {job['name']}"] = result, np.array(mode)
    np.savez_compressed(sys.argv[2], **results)


if __name__ == "__main__":
    main()
