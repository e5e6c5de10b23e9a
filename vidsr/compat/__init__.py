"""The reference's own interfaces, for programs that move over: they change an import and keep the rest.

    from vidsr.compat import RealESRGANer        # was: from realesrgan import RealESRGANer
    from vidsr.compat import GFPGANer            # was: from gfpgan import GFPGANer

Arguments, arrays (BGR, as OpenCV has them), modes, rounding and tiles are those of the package realesrgan 0.3.0, and so
are its results to within one code; docs/compat.md lists every difference, docs/faces.md those of GFPGANer from gfpgan
1.3.8. New programs do better with `vidsr.Upscaler`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .upsampler import RealESRGANer

if TYPE_CHECKING:
    from .gfpganer import GFPGANer

__all__ = ["GFPGANer", "RealESRGANer"]


def __getattr__(name: str) -> Any:
    """GFPGANer is loaded when it is asked for: most programs have no need of faces."""
    if name != "GFPGANer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .gfpganer import GFPGANer

    return GFPGANer
