"""VGG-style discriminator with batch normalisation.

Source: C. Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network", 2017;
key names and order of layers are those of the reference.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from vidsr.errors import UsageError

DEPTHS = {128: 5, 256: 6}
"""Halvings from the side of the picture to 4 px."""


def _act(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)


class VGGStyleDiscriminator(nn.Module):
    """N 3 S S to N 1 logits, where S is 128 or 256.

    Statistics are those of the batch in training mode, so that a pass with real and one with generated pictures are
    normalised apart, as in the reference.
    """

    def __init__(self, features: int = 64, size: int = 128) -> None:
        super().__init__()
        self.size, self.depth = size, DEPTHS[size]
        inputs = 3
        for level in range(self.depth):
            outputs = features * min(2**level, 8)
            first, second = f"{level}_0", f"{level}_1"
            self.add_module(f"conv{first}", nn.Conv2d(inputs, outputs, 3, padding=1, bias=level == 0))
            if level:
                self.add_module(f"bn{first}", nn.BatchNorm2d(outputs))
            self.add_module(f"conv{second}", nn.Conv2d(outputs, outputs, 4, stride=2, padding=1, bias=False))
            self.add_module(f"bn{second}", nn.BatchNorm2d(outputs))
            inputs = outputs
        self.linear1 = nn.Linear(inputs * 4 * 4, 100)
        self.linear2 = nn.Linear(100, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        """Raises UsageError for another size than `size`."""
        height, width = rgb.shape[-2:]
        if (height, width) != (self.size, self.size):
            raise UsageError(
                f"discriminator vgg-style: crops of {width}x{height} px, expected {self.size}x{self.size}",
                "set the size of the discriminator and that of the GT crop to the same number",
            )
        x = rgb
        for level in range(self.depth):
            x = self._layer(x, f"{level}_0", norm=level > 0)
            x = self._layer(x, f"{level}_1", norm=True)
        result: Tensor = self.linear2(_act(self.linear1(x.flatten(1))))
        return result

    def _layer(self, x: Tensor, name: str, *, norm: bool) -> Tensor:
        x = self.get_submodule(f"conv{name}")(x)
        return _act(self.get_submodule(f"bn{name}")(x) if norm else x)
