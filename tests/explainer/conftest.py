"""A linear generator and a linear classifier, whose counterfactuals are known."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

CONFIDENCE = 0.8


GAP = math.log(CONFIDENCE / (1 - CONFIDENCE))


class Affine(nn.Module):
    """G(z) = 0.5 + z A with orthonormal rows, and its exact encoder."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return (x - 0.5).flatten(1) @ self.rows.T

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return 0.5 + (z @ self.rows).unflatten(1, (1, 4, 4))


def orthonormal(rows: int) -> Tensor:
    q, _ = torch.linalg.qr(
        torch.randn(16, rows, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    )
    return q.T.contiguous()


@pytest.fixture
def difference() -> Tensor:
    """w_1 - w_0 of the classifier."""
    return torch.randn(16, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 6


@pytest.fixture
def classifier(linear: Any, difference: Tensor) -> nn.Module:
    return linear(
        torch.stack((torch.zeros(16, dtype=torch.float64), difference)),
        torch.tensor([0.0, -float(difference.sum()) / 2 - 1.0]),
    )


def queries(generator: Affine, n: int = 4) -> Tensor:
    z = 0.05 * torch.randn(
        n, len(generator.rows), generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    return generator.decode(z).detach()


@pytest.fixture
def latent() -> SimpleNamespace:
    """The linear generator, its queries, and the confidence with its log-odds."""
    return SimpleNamespace(
        Affine=Affine, orthonormal=orthonormal, queries=queries, confidence=CONFIDENCE, gap=GAP
    )
