"""facexlib's alignment and paste-back on given landmarks, in its own environment: jobs.npz in, results.npz out.

    python oracle_faces_geometry_server.py jobs.npz results.npz

The detector and ParseNet are not asked: landmarks and the classes of every pixel are given.
"""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
import torch
import torchvision.transforms.functional

sys.modules["torchvision.transforms.functional_tensor"] = torchvision.transforms.functional  # which basicsr asks for
from facexlib.utils.face_restoration_helper import FaceRestoreHelper  # noqa: E402


class Given:
    """Stands in for ParseNet: the same classes for every face."""

    def __init__(self, classes: np.ndarray[Any, Any]) -> None:
        self._scores = torch.nn.functional.one_hot(torch.from_numpy(classes).long(), 19).permute(2, 0, 1)[None].float()

    def __call__(self, face: torch.Tensor) -> tuple[torch.Tensor, None]:
        return self._scores, None


def made(picture: np.ndarray[Any, Any], scale: int, parse: Given) -> Any:
    """A FaceRestoreHelper with a picture, that was not given the weights it would fetch."""
    helper = FaceRestoreHelper.__new__(FaceRestoreHelper)
    helper.upscale_factor, helper.face_size, helper.use_parse, helper.pad_blur = scale, (512, 512), True, False
    helper.device, helper.face_parse = torch.device("cpu"), parse
    helper.face_template = np.array(
        [
            [192.98138, 239.94708],
            [318.90277, 240.1936],
            [256.63416, 314.01935],
            [201.26117, 371.41043],
            [313.08905, 371.15118],
        ]
    )
    helper.clean_all()
    helper.read_image(picture)
    return helper


def main() -> None:
    jobs = np.load(sys.argv[1])
    results: dict[str, Any] = {}
    picture, parse = jobs["picture"], Given(jobs["classes"])
    for scale in (1, 2, 4):
        helper = made(picture, scale, parse)
        helper.all_landmarks_5 = list(jobs["landmarks"])
        helper.align_warp_face()
        helper.get_inverse_affine()
        results["matrices"] = np.stack(helper.affine_matrices)
        results["crops"] = np.stack(helper.cropped_faces[:3])[:, ::8, ::8]
        for face in jobs["restored"]:
            helper.add_restored_face(face)
        background = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        helper.inverse_affine_matrices = helper.inverse_affine_matrices[:3]
        results[f"pasted{scale}"] = helper.paste_faces_to_input_image(upsample_img=background)[
            :: 8 * scale, :: 8 * scale
        ]
        results[f"inverse{scale}"] = np.stack(helper.inverse_affine_matrices)
    np.savez_compressed(sys.argv[2], **results)


if __name__ == "__main__":
    main()
