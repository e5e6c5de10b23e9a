"""A whole SRVGGNetCompact out of the kernels: its parameters, and the buffers of one frame size with what runs on them.

Everything here only queues work: no function waits for the device, allocates outside of the constructor (but for the
few bytes of a sort) or depends on a value in device memory, so that a CUDA graph can record any of the `run` methods.
"""

from __future__ import annotations

import copy
from functools import cache
from math import prod

import torch
from torch import Tensor, nn

from ...models.archs.compact import SRVGGNetCompact
from . import changes, tune
from .coding import YUV, Coding
from .conv import Config, Packed, conv, pack, padded
from .first import SIDES, first, pack_first, to_rgb
from .last import to_planes
from .places import ALIGNED, TILE, Segments, across, down, feature_map, map_shape, whole


class Network:
    """Parameters on the device, packed. `layers` are the convolutions but the first, in order."""

    def __init__(self, network: SRVGGNetCompact, dtype: torch.dtype, device: torch.device) -> None:
        self.scale, self.features, self.dtype, self.device = network.scale, padded(network.features), dtype, device
        body = copy.deepcopy(network.body).to(device)
        convolutions = [layer for layer in body if isinstance(layer, nn.Conv2d)]
        slopes = [*map(_slope, list(body)[1::2]), 1.0]  # none after the last
        parts = [(layer.weight, layer.bias, slope) for layer, slope in zip(convolutions, slopes, strict=True)]
        self.first: Packed = pack_first(*parts[0], dtype)
        self.layers: list[Packed] = [pack(*part, dtype) for part in parts[1:]]

    @property
    def depth(self) -> int:
        """Convolutions, which is also the radius of the receptive field."""
        return len(self.layers) + 1

    def kept_bytes(self, height: int, width: int) -> int:
        """Bytes of the feature maps of all layers, and of RGB."""
        channels = (self.depth - 1) * self.features + 3 * self.scale**2
        return prod(map_shape(height, width, channels)) * self.dtype.itemsize + 12 * height * width


def _slope(activation: nn.Module) -> Tensor | float:
    if isinstance(activation, nn.PReLU):
        return activation.weight
    return float(activation.negative_slope) if isinstance(activation, nn.LeakyReLU) else 0.0


class State:
    """The buffers of one frame size, for input planes of `source` and output planes of `target`.

    With `kept`, every layer has a feature map of its own, which outlives the frame; without, two take turns. `rgb`
    (3 H W float32) holds the input, `bad` (one int32) whether a value of the last frame was not finite, `share`
    (float32, no dimensions) the mean over the layers of the part of the tiles that the last frame computed. `config`
    says how the convolutions are cut up.
    """

    def __init__(
        self, network: Network, height: int, width: int, source: Coding, target: Coding, *,
        kept: bool, config: Config | None = None,
    ) -> None:  # fmt: skip
        self.network, self.height, self.width, self._source, self._target = network, height, width, source, target
        device, dtype, depth, scale = network.device, network.dtype, network.depth, network.scale
        self.rgb = torch.zeros(3, height, width, device=device)
        self.bad = torch.zeros(1, dtype=torch.int32, device=device)
        self.share = torch.ones((), device=device)
        number = depth - 1 if kept else min(2, depth - 1)
        maps = [feature_map(height, width, network.features, dtype, device) for _ in range(number)]
        detail = feature_map(height, width, 3 * scale**2, dtype, device)
        self._maps = [*(maps[layer % number] for layer in range(depth - 1)), detail]
        sides = (height * scale, width * scale) if target.family == YUV else (0, 0)
        self._differences = torch.zeros(2, *sides, device=device)
        self.config = config or self._fastest()
        self._tiles = whole(height, width, TILE, device)
        self._strips = whole(height, width, self.config.segment_rows, device)
        self._prepare_changes()

    def _fastest(self) -> Config:
        """Try the candidates on the first inner layer, between the first two maps, and leave those zero."""
        network, maps, height, width = self.network, self._maps, self.height, self.width
        if network.depth < 3:
            return tune.candidates(network.device, network.features)[-1]

        @cache
        def segments(rows: int) -> Segments:
            return whole(height, width, rows, network.device)

        def attempt(config: Config) -> None:
            conv(maps[0], network.layers[0], maps[1], segments(config.segment_rows), height, width, config)

        maps[0][1 : height + 1, 1 : width + 1].normal_()
        tiles = across(width) * down(height)
        config = tune.fastest(network.device, network.features, network.dtype, tiles, attempt)
        maps[0].zero_()
        maps[1].zero_()
        return config

    def _prepare_changes(self) -> None:
        """How far every layer sees, and at last the chroma filter; and where the lists go."""
        device, depth, tiles = self.network.device, self.network.depth, self._tiles.limit
        reach = -(-self._target.reach // self.network.scale)
        limits = [*range(1, depth + 1), depth + reach]
        self._radius = limits[-1]
        self._limits = torch.tensor(limits, dtype=torch.int32, device=device)
        self._counts = torch.zeros(len(limits), ALIGNED, dtype=torch.int32, device=device)
        self._sides = torch.zeros(tiles, SIDES, dtype=torch.int32, device=device)
        self._distance, self._order = (torch.zeros(tiles, dtype=torch.int32, device=device) for _ in range(2))

    def run_network(self, out: tuple[Tensor, ...]) -> None:
        """What lies in `rgb` through the network into the planes `out`."""
        layers = [self._tiles, *[self._strips] * (self.network.depth - 1)]
        self._layers(layers, self._tiles, self._tiles, out)
        self.share.fill_(1.0)

    def run_whole(self, planes: tuple[Tensor, ...], out: tuple[Tensor, ...]) -> None:
        """Planes through the network into the planes `out`, every tile."""
        to_rgb(planes, self._source, self.rgb, self._sides)
        self.run_network(out)

    def run_changed(self, planes: tuple[Tensor, ...], out: tuple[Tensor, ...]) -> None:
        """The same, but only where it may differ from the frame before, which must have been run with `kept`."""
        to_rgb(planes, self._source, self.rgb, self._sides)
        changes.distances(self._sides, self._distance, across(self.width), self._radius)
        changes.ordered(self._distance, self._limits, self._order, self._counts)
        *layers, chroma = (changes.segments(self._order, count) for count in self._counts)
        self._layers(layers, layers[-1], chroma, out)
        self.share.copy_(self._counts[:-1, 0].sum() / (len(layers) * self._tiles.limit))

    def _layers(self, layers: list[Segments], luma: Segments, chroma: Segments, out: tuple[Tensor, ...]) -> None:
        """All convolutions at the segments of each, then the planes."""
        self.bad.zero_()
        height, width, maps = self.height, self.width, self._maps
        first(self.rgb, self.network.first, maps[0], layers[0], height, width)
        for layer, x, y, segments in zip(self.network.layers, maps, maps[1:], layers[1:], strict=False):
            conv(x, layer, y, segments, height, width, self.config)
        to_planes(maps[-1], self.rgb, self._differences, out, self._target, self.bad, luma, chroma, self.network.scale)
