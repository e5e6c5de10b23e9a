"""Faces: found, followed, straightened, restored and put back."""
