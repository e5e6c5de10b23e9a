"""The steps of a video degradation, codecs apart.

Each is a function of (clip, options, rng) that returns a new clip: T H W 3 uint8 RGB in and out, all draws from `rng`.

lens        blur, halo, echo
grain       noise, grain
levels      banding, dither, level_range, matrix
chroma      chroma_shift, siting
motion      frame_blend, interlace
composite   composite
resample    resize, upscaled, shrink
still       still
"""
