"""Measures of quality: of pictures against a ground truth, of pictures alone, and of what changes from frame to frame.

`options` names them and imports no torch; `build.build` makes them.
"""
