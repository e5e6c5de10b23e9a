"""A picture to a larger one, as arrays: gray or colour, with or without alpha, 8 or 16 bits, and the same again.

python examples/picture.py input.png output.png
"""

from __future__ import annotations

import sys

import cv2

import vidsr


def main(source: str, target: str) -> int:
    picture = cv2.imread(source, cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise SystemExit(f"{source} is no picture that OpenCV can read")
    turned = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(picture.shape[2] if picture.ndim == 3 else 1)
    if turned:  # OpenCV has the colours as BGR, vidsr has them as RGB
        picture = picture[..., turned]
    upscaler = vidsr.Upscaler("animevideov3")  # once, for any number of pictures
    large = upscaler.enhance(picture, scale=2)
    cv2.imwrite(target, large[..., turned] if turned else large)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
