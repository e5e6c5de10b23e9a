"""facexlib's alignment and paste-back, timed for `benchmarks.faces_paste`.

A line on stdin is a round, its times are a line of JSON.

python faces_paste_server.py given.npz SCALE
"""

from __future__ import annotations

import json
import sys
import time

import cv2
import numpy as np
import torch
from oracle_faces_geometry_server import Given, made


def main() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    given, scale = np.load(sys.argv[1]), int(sys.argv[2])
    picture, face, parse = given["picture"], given["restored"][0], Given(given["classes"])
    background = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    for _ in sys.stdin:
        helper = made(picture, scale, parse)
        helper.all_landmarks_5 = [given["points"]]
        begun = time.process_time()
        helper.align_warp_face()
        aligned = time.process_time()
        helper.add_restored_face(face)
        helper.get_inverse_affine()
        helper.paste_faces_to_input_image(upsample_img=background)
        print(json.dumps({"align": aligned - begun, "paste": time.process_time() - aligned}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
