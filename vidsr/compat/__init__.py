"""The reference's own interface, for programs that move over: they change an import and keep the rest.

    from vidsr.compat import RealESRGANer        # was: from realesrgan import RealESRGANer

Arguments, arrays (BGR, as OpenCV has them), modes, rounding and tiles are those of the package realesrgan 0.3.0, and so
are its results to within one code; docs/compat.md lists every difference. New programs do better with `vidsr.Upscaler`.
"""

from __future__ import annotations

from .upsampler import RealESRGANer

__all__ = ["RealESRGANer"]
