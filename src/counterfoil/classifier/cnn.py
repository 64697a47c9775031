"""A small plain convolutional network for images of 16 to 128 px."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from counterfoil.core.bounds import Count, Decay, checks_options


@checks_options
class CNN(nn.Module):
    """Stages of (3x3 convolution, batch norm, ReLU) x 2 and a halving, global average, dropout, linear.

    Args:
        channels: input channels C.
        classes: outputs K.
        width: channels of the first stage; each further stage doubles them.
        stages: number of halvings.
        dropout: on the embedding.
    """

    def __init__(
        self,
        channels: Count = 1,
        classes: Count = 10,
        width: Count = 32,
        stages: Count = 3,
        dropout: Decay = 0.1,
    ) -> None:
        super().__init__()
        widths = [channels, *(width * 2**i for i in range(stages))]
        self.blocks = nn.Sequential(*(_stage(a, b) for a, b in pairwise(widths)))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head: nn.Module = nn.Sequential(nn.Dropout(dropout), nn.Linear(widths[-1], classes))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, K) of inputs (B, C, H, W)."""
        logits: Tensor = self.head(self.pool(self.blocks(x)))
        return logits


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
