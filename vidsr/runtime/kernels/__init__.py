"""Triton kernels for plain stacks of 3x3 convolutions (SRVGGNetCompact) on CUDA, and an eager twin of each.

`places` where pixels lie in buffers and what a list of tiles is; `conv` every layer but the first; `first` planes to
RGB and the first layer; `last` pixel shuffle, skip and planes; `changes` what has to be computed again; `coding`
constants of the colour conversions; `tune` which configuration is fastest; `network` all of it in order. Importing them
needs Triton, which exists on Linux only; `runtime.fused` does so when it is used.
"""
