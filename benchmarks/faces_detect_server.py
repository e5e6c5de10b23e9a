"""Runs facenet-pytorch's MTCNN for `benchmarks.faces_detect`, in an environment with torch and torchvision.

python faces_detect_server.py FACENET_FOLDER PICTURES.npz FOUND.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, sys.argv[1])

from facenet_pytorch import MTCNN


def main() -> None:
    detector = MTCNN(keep_all=True, device="cpu")
    found = {}
    with np.load(sys.argv[2]) as pictures:
        for name in pictures:
            boxes, scores, marks = detector.detect(Image.fromarray(pictures[name]), landmarks=True)
            rows = [] if boxes is None else zip(boxes, scores, marks, strict=True)
            found[name] = [
                {"box": box.tolist(), "score": float(score), "landmarks": points.tolist()}
                for box, score, points in rows
                if score >= 0.9
            ]
    Path(sys.argv[3]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
