"""Make goldens.npz: what the networks of basicsr 1.4.2 and realesrgan 0.3.0 give for the weights of seeded.py.

python tests/models/goldens/make.py          with the Python of the environment that benchmarks.reference makes
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from seeded import COMPACT, RRDB, numbers, picture  # type: ignore[import-not-found]


def shim() -> None:
    """torchvision took away the module from which basicsr imports one function; the function is still there."""
    from torchvision.transforms import functional  # type: ignore[import-not-found]

    module: Any = types.ModuleType("torchvision.transforms.functional_tensor")
    module.rgb_to_grayscale = functional.rgb_to_grayscale
    sys.modules.setdefault(module.__name__, module)


def result(network: Any) -> Any:
    state = {name: torch.from_numpy(numbers(name, tuple(value.shape))) for name, value in network.state_dict().items()}
    network.load_state_dict(state, strict=True)
    with torch.no_grad():
        return network.eval()(torch.from_numpy(picture())).numpy()


def main() -> None:
    shim()
    from basicsr.archs.rrdbnet_arch import RRDBNet  # type: ignore[import-not-found]
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact  # type: ignore[import-not-found]

    found = {}
    for features, convolutions, scale, act in COMPACT:
        network = SRVGGNetCompact(3, 3, features, convolutions, scale, act)
        found[f"compact-{features}-{convolutions}-{scale}-{act}"] = result(network)
    for features, blocks, growth, scale in RRDB:
        network = RRDBNet(3, 3, scale, features, blocks, growth)
        found[f"rrdb-{features}-{blocks}-{growth}-{scale}"] = result(network)
    np.savez_compressed(Path(__file__).with_name("goldens.npz"), **found)


if __name__ == "__main__":
    main()
