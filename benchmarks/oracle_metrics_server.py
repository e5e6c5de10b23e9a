"""BasicSR's metrics on the pictures of a file, in the environment of `benchmarks.reference`.

    python oracle_metrics_server.py PICTURES.npz VALUES.json

`PICTURES.npz` holds pairs as `pair NAME 0` (output) and `pair NAME 1`, pictures as `picture NAME`, all RGB uint8, and
the statistics `mu` and `cov` that NIQE shall use. NIQE by the statistics of BasicSR's own file is given too.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
from reference_server import shim  # type: ignore[import-not-found]  # beside this file


def shim_scipy() -> None:
    """A module that newer releases of SciPy no longer have."""
    import scipy.ndimage  # type: ignore[import-untyped]

    old = types.ModuleType("scipy.ndimage.filters")
    old.convolve = scipy.ndimage.convolve  # type: ignore[attr-defined]
    sys.modules[old.__name__] = old


def main() -> None:
    shim()
    shim_scipy()
    from basicsr.metrics import niqe, psnr_ssim  # type: ignore[import-not-found]
    from basicsr.metrics.metric_util import to_y_channel  # type: ignore[import-not-found]

    with np.load(sys.argv[1]) as file:
        given = dict(file)
    own = np.load(Path(niqe.__file__).with_name("niqe_pris_params.npz"))
    values: dict[str, Any] = {}
    for name in {key.split(" ", 1)[1].rsplit(" ", 1)[0] for key in given if key.startswith("pair ")}:
        pair = [np.ascontiguousarray(given[f"pair {name} {side}"][..., ::-1]) for side in (0, 1)]
        for border in (0, 4):
            for channel in ("y", "rgb"):
                words = {"crop_border": border, "test_y_channel": channel == "y"}
                values[f"psnr {name} {border} {channel}"] = float(psnr_ssim.calculate_psnr(*pair, **words))
                values[f"ssim {name} {border} {channel}"] = float(psnr_ssim.calculate_ssim(*pair, **words))
    for name in (key.split(" ", 1)[1] for key in given if key.startswith("picture ")):
        bgr = np.ascontiguousarray(given[f"picture {name}"][..., ::-1])
        luma = to_y_channel(bgr)[..., 0].round().astype(np.float64)
        values[f"niqe {name}"] = niqe.niqe(luma, given["mu"], given["cov"], own["gaussian_window"])
        values[f"niqe by the reference's statistics {name}"] = niqe.calculate_niqe(bgr, 0)
    Path(sys.argv[2]).write_text(json.dumps(values), encoding="utf-8")


if __name__ == "__main__":
    main()
