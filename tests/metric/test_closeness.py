"""Latent closeness by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.strip import Strip
from counterfoil.metric.closeness import LatentCloseness


class Flatten:
    """An encoder whose code is the image."""

    conditioned_encoder = False

    def encode(self, x: Tensor) -> Tensor:
        return x


def test_closeness_by_hand() -> None:
    """Query 0's frames lie beside it; one frame of query 1 lies beside query 0's images."""
    place = torch.tensor([[0.0, 0.1, 0.2], [10.0, 10.1, 0.5]])
    images = place[:, :, None, None, None].expand(-1, -1, 1, 2, 2)
    nothing, zeros = torch.zeros(2, 2), torch.zeros(2)
    cf = Counterfactuals(
        images[:, 0],
        images[:, 1],
        torch.ones(2, dtype=torch.long),
        nothing,
        nothing,
        torch.arange(2),
        zeros,
        zeros,
        zeros,
        zeros,
        strip=Strip(images[:, 1:]),
    )
    metric = LatentCloseness(Flatten(), neighbours=3)
    metric.update(cf)
    assert float(metric.compute()) == pytest.approx(0.75)
    assert metric.statistic(torch.tensor([1, 1])) == pytest.approx(0.5)
