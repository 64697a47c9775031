"""Tiny networks and data of texts, beside those of images in `toys`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.domain import Tokens
from counterfoil.data.base import ImageData, Images, Splits

TOKENS = (
    "",
    "<unk>",
    "a",
    "the",
    "film",
    "play",
    "good",
    "fine",
    "bad",
    "dull",
    "not",
    "very",
)
LENGTH, CLASSES = 6, 3
TEXTS = Tokens(TOKENS)


class TinyReader(nn.Module):
    """A smooth classifier of one-hot rows (B, 1, 6, 12) with random weights.

    Args:
        classes: of the logits (B, classes).
        seed: of the weights.
    """

    domain = TEXTS

    def __init__(self, classes: int = CLASSES, seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.embedding = nn.Parameter(torch.randn(len(TOKENS), 4, generator=draw))
        self.head = nn.Linear(4 * LENGTH, classes)
        with torch.no_grad():
            for value in self.head.parameters():
                value.copy_(torch.randn(value.shape, generator=draw))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of texts (B, 1, 6, 12), each row a distribution."""
        logits: Tensor = self.head(torch.tanh(x[:, 0] @ self.embedding).flatten(1))
        return logits


class TinyEditor(nn.Module):
    """A linear model of such texts that edits two attributes, with random weights.

    G(z, a) = softmax(8 (z A + a B)) per row,   E(x) = x A'
    """

    attribute_names = ("positive", "long")

    def __init__(self, latent: int = 48, seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        size = LENGTH * len(TOKENS)
        basis, _ = torch.linalg.qr(torch.randn(size, latent, generator=draw))
        self.rows = nn.Parameter(basis.T.contiguous())
        self.moves = nn.Parameter(torch.randn(2, size, generator=draw) / 2)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Codes (B, Z)."""
        moved = 0 if condition is None else condition @ self.moves
        return (x.flatten(1) - moved) @ self.rows.T

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Soft rows (B, 1, 6, 12)."""
        moved = 0 if condition is None else condition @ self.moves
        scores = z @ self.rows + moved
        rows: Tensor = (8 * scores).unflatten(1, (1, LENGTH, len(TOKENS))).softmax(-1)
        return rows

    def attributes(self, x: Tensor) -> Tensor:
        """Attributes (B, 2) in [0, 1]."""
        return torch.sigmoid(x.flatten(1) @ self.moves.T)


class Sentences(ImageData):
    """Random sentences of which each class has words of its own."""

    name = "toy_texts"
    domain = TEXTS

    def load(self) -> Splits:
        """60 training and 30 test texts."""
        return Splits(
            train=sentences(60, 0),
            test=sentences(30, 1),
            class_names=("good", "bad", "dull"),
            attribute_names=TinyEditor.attribute_names,
        )


def sentences(n: int, seed: int) -> Images:
    """n texts as uint8 one-hot rows (n, 1, 6, 12) of 0 and 255, the classes in turn."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % CLASSES
    tokens = torch.randint(2, len(TOKENS), (n, LENGTH), generator=draw)
    tokens[:, 2] = 6 + labels
    tokens[:, -1] *= torch.rand(n, generator=draw) < 0.5
    rows = nn.functional.one_hot(tokens, len(TOKENS))[:, None].to(torch.uint8) * 255
    attributes = torch.stack((labels == 0, tokens[:, -1] > 0), 1).to(torch.uint8)
    return Images(rows, labels, attributes)


def texts(n: int = 4) -> Tensor:
    """n test texts of `Sentences`: (n, 1, 6, 12) in [0, 1], float64."""
    return sentences(30, 1)[range(n)].x.double()
