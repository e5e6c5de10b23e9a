"""RestoreFormer: a vector-quantised auto-encoder whose decoder looks back at the encoder, for faces of 512 x 512.

Source: Z. Wang et al., "RestoreFormer: High-Quality Blind Face Restoration from Undegraded Key-Value Pairs", CVPR 2022,
and the layout of the weights released with GFPGAN 1.3.4.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

WIDTH, MULTIPLIERS = 64, (1, 2, 2, 4, 4, 8)
CODES, CODE_WIDTH, HEADS = 1024, 256, 8


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)


class ResBlock(nn.Module):
    """Two convolutions behind normalisation and swish, and the input added."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = _norm(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv1(functional.silu(self.norm1(x)))
        out = self.conv2(functional.silu(self.norm2(out)))
        return out + (x if self.nin_shortcut is None else self.nin_shortcut(x))


class Attention(nn.Module):
    """Attention of HEADS heads over all pixels; the queries may come from elsewhere."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(channels), _norm(channels)
        self.q, self.k, self.v = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, asking: Tensor | None = None) -> Tensor:
        own = self.norm1(x)
        other = own if asking is None else self.norm2(asking)
        q, k, v = (self._split(layer(given)) for layer, given in ((self.q, other), (self.k, own), (self.v, own)))
        mixed = functional.scaled_dot_product_attention(q, k, v)  # N heads HW C/heads
        added: Tensor = self.proj_out(mixed.transpose(2, 3).reshape(x.shape))
        return x + added

    @staticmethod
    def _split(x: Tensor) -> Tensor:
        return x.reshape(len(x), HEADS, x.shape[1] // HEADS, -1).transpose(2, 3)


class Downsample(nn.Module):
    """Half the size, by a convolution that reaches over the right and lower border."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(functional.pad(x, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    """Twice the size: pixels repeated, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(functional.interpolate(x, scale_factor=2, mode="nearest"))
        return out


class Level(nn.Module):
    """The blocks of one resolution, each with attention if `attend`, and then the way to the next one, if there is."""

    def __init__(self, inputs: int, outputs: int, blocks: int, attend: bool) -> None:
        super().__init__()
        self.downsample: Downsample | None = None
        self.upsample: Upsample | None = None
        self.block = nn.ModuleList(ResBlock(outputs if number else inputs, outputs) for number in range(blocks))
        self.attn = nn.ModuleList(Attention(outputs) for _ in range(blocks if attend else 0))

    def forward(self, x: Tensor, asking: Tensor | None = None) -> Tensor:
        for number, block in enumerate(self.block):
            x = block(x)
            x = self.attn[number](x, asking) if self.attn else x
        resize = self.downsample or self.upsample
        return resize(x) if resize else x


class Middle(nn.Module):
    """Block, attention, block at the lowest resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1, self.block_2 = ResBlock(channels, channels), ResBlock(channels, channels)
        self.attn_1 = Attention(channels)


class Encoder(nn.Module):
    """N 3 512 512 to N 256 16 16, and what the decoder asks: features before and behind the middle."""

    def __init__(self) -> None:
        super().__init__()
        widths = [WIDTH * multiplier for multiplier in MULTIPLIERS]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.down = nn.ModuleList()
        for number, (inputs, outputs) in enumerate(zip([WIDTH, *widths], widths, strict=False)):
            level = Level(inputs, outputs, 2, number == last)
            if number < last:
                level.downsample = Downsample(outputs)
            self.down.append(level)
        self.mid = Middle(widths[-1])
        self.norm_out, self.conv_out = _norm(widths[-1]), nn.Conv2d(widths[-1], CODE_WIDTH, 3, padding=1)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.conv_in(faces)
        for level in self.down:
            x = level(x)
        before = self.mid.block_1(x)
        behind = self.mid.block_2(self.mid.attn_1(before))
        return self.conv_out(functional.silu(self.norm_out(behind))), before, behind


class Decoder(nn.Module):
    """N 256 16 16 and the encoder's features to N 3 512 512."""

    def __init__(self) -> None:
        super().__init__()
        widths = [WIDTH * multiplier for multiplier in MULTIPLIERS]
        self.conv_in = nn.Conv2d(CODE_WIDTH, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList()
        for number, outputs in enumerate(widths):
            level = Level(widths[min(number + 1, len(widths) - 1)], outputs, 3, number == len(widths) - 1)
            if number:
                level.upsample = Upsample(outputs)
            self.up.append(level)
        self.norm_out, self.conv_out = _norm(widths[0]), nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, codes: Tensor, before: Tensor, behind: Tensor) -> Tensor:
        x = self.mid.block_1(self.conv_in(codes))
        x = self.mid.block_2(self.mid.attn_1(x, behind))
        for level in reversed(self.up):
            x = level(x, before)
        restored: Tensor = self.conv_out(functional.silu(self.norm_out(x)))
        return restored


class Codebook(nn.Module):
    """Each vector of a feature map replaced by the nearest of CODES."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CODES, CODE_WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.permute(0, 2, 3, 1).reshape(-1, CODE_WIDTH)
        table = self.embedding.weight
        distance = flat.square().sum(1, keepdim=True) + table.square().sum(1) - 2 * flat @ table.T
        nearest = table[distance.argmin(1)]
        return nearest.view(len(x), *x.shape[2:], CODE_WIDTH).permute(0, 3, 1, 2)


class RestoreFormer(nn.Module):
    """N 3 512 512 RGB in [-1, 1] to the same, restored. The state dict is that of the released file."""

    side = 512

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder, self.quantize = Encoder(), Decoder(), Codebook()
        self.quant_conv = nn.Conv2d(CODE_WIDTH, CODE_WIDTH, 1)
        self.post_quant_conv = nn.Conv2d(CODE_WIDTH, CODE_WIDTH, 1)

    def forward(self, faces: Tensor) -> Tensor:
        found, before, behind = self.encoder(faces)
        codes = self.post_quant_conv(self.quantize(self.quant_conv(found)))
        restored: Tensor = self.decoder(codes, before, behind)
        return restored
