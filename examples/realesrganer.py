"""A program that was written for the package realesrgan: only the line of the import is another one.

    python examples/realesrganer.py input.png output.png

docs/compat.md tells what else differs.
"""

from __future__ import annotations

import sys

import cv2

from vidsr.compat import RealESRGANer  # was: from realesrgan import RealESRGANer


def main(source: str, target: str) -> int:
    upsampler = RealESRGANer(
        scale=4,
        model_path="https://github.com/xinntao/Real-ESRGAN/releases/download/v0.2.5.0/realesr-animevideov3.pth",
        tile=200,
        tile_pad=10,
        pre_pad=0,
    )
    picture = cv2.imread(source, cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise SystemExit(f"{source} is no picture that OpenCV can read")
    output, mode = upsampler.enhance(picture, outscale=3)
    if mode == "RGBA" and not target.endswith(".png"):
        raise SystemExit("a picture with alpha needs a .png")
    cv2.imwrite(target, output)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
