"""Regularisers against values on paper."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.query import Query
from counterfoil.core.taps import read
from counterfoil.search import BatchStatistics, Candidate, Norm, Term, TotalVariation


def value(term: Term, x: Tensor, model: nn.Module | None = None) -> list[float]:
    model = nn.Sequential(nn.Flatten()) if model is None else model
    query = Query(x, torch.zeros(len(x)).long(), model)
    logits, features = read(model, x, term.layers(model))
    found: list[float] = term(query, Candidate({}, x, logits, 0.0, features)).tolist()
    return found


def test_total_variation_by_hand() -> None:
    x = torch.tensor([[[[0.0, 0.3], [0.4, 0.3]]], [[[0.7, 0.7], [0.7, 0.7]]]], dtype=torch.float64)
    assert value(TotalVariation(), x) == pytest.approx([math.hypot(0.3, 0.4) + 0.0 + 0.1, 0.0], abs=1e-5)


@pytest.mark.parametrize("term", [TotalVariation(), Norm()])
def test_plain_images_have_a_finite_slope(term: Term) -> None:
    x = torch.zeros(1, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    query = Query(x, torch.zeros(1).long(), nn.Flatten())
    term(query, Candidate({}, x, x.flatten(1), 0.0)).sum().backward()
    assert torch.isfinite(x.grad).all()  # type: ignore[arg-type]


def test_norm_by_hand() -> None:
    assert value(
        Norm(), torch.tensor([[[[0.6, 0.8]]], [[[0.0, 0.5]]]], dtype=torch.float64)
    ) == pytest.approx([1.0, 0.5], abs=1e-5)


def test_statistics_of_each_image_against_those_of_the_batch_norms() -> None:
    """Two successive norms with running means 0.1 and 0.3, variances 1 and 2; the first counts 10 times."""
    first, second = nn.BatchNorm2d(1, eps=1e-12, affine=False), nn.BatchNorm2d(1, affine=False)
    model = nn.Sequential(first, second, nn.Flatten()).double().eval()
    first.running_mean.fill_(0.1)  # type: ignore[union-attr]
    second.running_mean.fill_(0.3)  # type: ignore[union-attr]
    second.running_var.fill_(2.0)  # type: ignore[union-attr]
    x = torch.tensor([[0.1, 0.5], [0.0, 0.0]], dtype=torch.float64).view(2, 1, 1, 2)
    mean, variance = [0.3, 0.0], [0.04, 0.0]
    expected = [
        10 * (abs(m - 0.1) + abs(v - 1)) + abs(m - 0.1 - 0.3) + abs(v - 2)
        for m, v in zip(mean, variance, strict=True)
    ]
    assert value(BatchStatistics(), x, model) == pytest.approx(expected, abs=1e-4)
    assert value(BatchStatistics(), x) == [0.0, 0.0], "a classifier without batch norm"
