"""The way of a frame, one file per verb, in order. No stage imports another; `vidsr.pipeline` composes them.

source    open the input; packets
decode    packets to RawFrame; damage, gaps, interlacing
reuse     which pictures equal the one before
convert   planes to an upright RGB tensor on the device
batch     distinct pictures grouped; order kept
tile      cut and seam: pure integers
infer     the network
assemble  RGB at its final size, back to planes
encode    planes to packets
mux       packets and carried streams to the file

Every stage is a generator over the one before it and starts no thread.
"""
