"""Latent closeness by hand."""

from __future__ import annotations

from dataclasses import replace

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


def strips() -> Counterfactuals:
    """Query 0's frames lie beside it; one frame of query 1 lies beside query 0's images."""
    place = torch.tensor([[0.0, 0.1, 0.2], [10.0, 10.1, 0.5]])
    images = place[:, :, None, None, None].expand(-1, -1, 1, 2, 2)
    nothing, zeros = torch.zeros(2, 2), torch.zeros(2)
    return Counterfactuals(
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


def test_closeness_by_hand() -> None:
    metric = LatentCloseness(Flatten(), neighbours=3)
    metric.update(strips())
    assert float(metric.compute()) == pytest.approx(0.75)
    assert metric.statistic(torch.tensor([1, 1])) == pytest.approx(0.5)


def test_codes_are_kept_of_the_pool_alone() -> None:
    """Memory does not grow with the rows beyond the pool: of these a mark stays."""
    metric = LatentCloseness(Flatten(), neighbours=3, pool=2)
    for _ in range(3):
        metric.update(strips())
    assert sum(map(len, metric._codes)) == 2
    assert metric.features.shape == (6, 1)
    assert metric.usable.tolist() == [True, True, False, False, False, False]
    assert float(metric.compute()) == pytest.approx(0.75)


def test_a_row_that_failed_leaves_its_place_to_others() -> None:
    metric = LatentCloseness(Flatten(), neighbours=3, pool=2)
    metric.update(replace(strips(), failed=torch.tensor([True, True])))
    metric.update(strips())
    assert metric.usable.tolist() == [False, False, True, True]
    assert float(metric.compute()) == pytest.approx(0.75)
