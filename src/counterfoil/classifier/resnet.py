"""A small residual network for images of 16 to 128 px; by default the judge."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from counterfoil.core.bounds import Count, checks_options


@checks_options
class ResNet(nn.Module):
    """Pre-activation residual stages, each halving the image; global average; linear.

    Args:
        channels: input channels C.
        classes: outputs K.
        width: channels of the first stage; each further stage doubles them.
        stages: number of halvings.

    Source: Identity Mappings in Deep Residual Networks (He et al., 2016), arXiv 1603.05027; sizes are ours.
    """

    def __init__(
        self, channels: Count = 1, classes: Count = 10, width: Count = 24, stages: Count = 3
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        widths = [width, *(width * 2**i for i in range(stages))]
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in pairwise(widths)))
        self.pool = nn.Sequential(
            nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, K) of inputs (B, C, H, W)."""
        logits: Tensor = self.head(self.pool(self.blocks(self.stem(x))))
        return logits


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(inputs, outputs, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.body(x) + self.shortcut(x)
        return total
