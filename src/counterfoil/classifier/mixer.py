"""A network without convolutions: perceptrons across patches and across channels; a judge of another kind."""

from __future__ import annotations

from torch import Tensor, nn

from counterfoil.core.bounds import Count, checks_options
from counterfoil.core.errors import UserError


@checks_options
class Mixer(nn.Module):
    """Patches as tokens; blocks that mix tokens, then channels; mean over tokens; linear.

    Args:
        channels: input channels C.
        classes: outputs K.
        size: H = W of the inputs, a multiple of `patch`.
        patch: side of a patch.
        width: channels of a token.
        depth: blocks.

    Raises:
        UserError: a patch that does not divide the image.
    Source: MLP-Mixer: An all-MLP Architecture for Vision (Tolstikhin et al., 2021), arXiv 2105.01601; sizes
    are ours.
    """

    def __init__(
        self,
        channels: Count = 1,
        classes: Count = 10,
        size: Count = 28,
        patch: Count = 4,
        width: Count = 64,
        depth: Count = 4,
    ) -> None:
        super().__init__()
        if size % patch:
            raise UserError(f"classifier.net.patch={patch} does not divide images of {size} px")
        self.stem = nn.Conv2d(channels, width, patch, stride=patch)
        tokens = (size // patch) ** 2
        self.blocks = nn.Sequential(*(_Block(tokens, width) for _ in range(depth)))
        self.pool = _Mean(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, K) of inputs (B, C, H, W)."""
        logits: Tensor = self.head(self.pool(self.blocks(self.stem(x).flatten(2).transpose(1, 2))))
        return logits


class _Mean(nn.Module):
    """The normalised tokens (B, T, D), averaged."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.norm(x).mean(1)
        return pooled


class _Block(nn.Module):
    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.across = _perceptron(tokens, 2 * tokens)
        self.within = _perceptron(width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.across(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        mixed: Tensor = x + self.within(self.norms[1](x))
        return mixed


def _perceptron(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
