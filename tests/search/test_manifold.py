"""Manifold consistency against values on paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.classifier.score import DropoutEntropy, Energy
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search import Candidate, ManifoldConsistency

D = torch.tensor([[0.5, 3.0], [4.0, 1.0], [2.0, 2.0]], dtype=torch.float64)
"""Distances to the centroids of both classes: near the source, beyond the margin, halfway."""


class Kernels(nn.Module):
    """Says -D of the classes: a network of kernels.

    All factuals are of class 0 and all targets are class 1.
    """

    kernel = True

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([[0.0, -9.0]], dtype=torch.float64).expand(len(x), 2)


class Erring(nn.Module):
    """Predicts as its error what its one layer puts out."""

    error_layers = ("layer",)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()

    def predict_error(self, features: Mapping[str, Tensor]) -> Tensor:
        return features["layer"].flatten(1).sum(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).flatten(1)


def term(
    model: nn.Module,
    logits: Tensor,
    x: Tensor | None = None,
    features: Mapping[str, Tensor] | None = None,
    **options: Any,
) -> Tensor:
    x = torch.zeros(len(logits), 1, 1, 2, dtype=torch.float64) if x is None else x
    query = Query(torch.zeros_like(x), torch.ones(len(logits)).long(), model)
    return ManifoldConsistency(**options)(query, Candidate({}, x, logits, 0.0, features or {}))


def test_the_hinge_on_log_kernels() -> None:
    """relu(d_t - d_y + 2) + d_t."""
    assert term(Kernels(), -D).tolist() == pytest.approx([4.5 + 3.0, 0.0 + 1.0, 2.0 + 2.0])
    assert term(Kernels(), -D, margin=4.0, score="kernel").tolist() == pytest.approx([9.5, 2.0, 6.0])


def test_the_literal_hinge_on_kernels() -> None:
    """relu(K_y - K_t + 0.5) on K = exp(-d)."""
    expected = [math.exp(-0.5) - math.exp(-3.0) + 0.5, math.exp(-4.0) - math.exp(-1.0) + 0.5, 0.5]
    assert term(Kernels(), -D, literal=True).tolist() == pytest.approx(expected)


def test_log_kernels_pull_where_kernels_have_no_slope() -> None:
    far = torch.tensor([[0.0, 60.0]], dtype=torch.float64)
    for literal, pulls in ((False, True), (True, False)):
        d = far.clone().requires_grad_()
        (slope,) = torch.autograd.grad(term(Kernels(), -d, literal=literal).sum(), d)
        assert bool(slope[0, 1] > 1e-3) is pulls


def test_a_predicted_error_is_softened() -> None:
    x = torch.tensor([[-1.0, 1.5], [-3.0, 0.0]], dtype=torch.float64).view(2, 1, 1, 2)
    found = term(Erring(), x.flatten(1), x, {"layer": x})
    assert found.tolist() == pytest.approx([math.log1p(math.exp(0.5)), math.log1p(math.exp(-3.0))])
    assert ManifoldConsistency().layers(Erring()) == ("layer",)


def test_energy_may_not_rise_above_the_factuals() -> None:
    """Logits 0, 0 of the factual have energy -log 2."""
    logits = torch.tensor([[0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    flat = nn.Flatten()
    expected = [0.0, math.log(2) - math.log1p(math.exp(-1.0))]
    assert term(flat, logits).tolist() == pytest.approx(expected)
    assert term(flat, logits, score=Energy()).tolist() == pytest.approx(expected)


def test_what_a_classifier_does_not_carry_is_refused() -> None:
    for score, word in (("kernel", "classifier=duq"), ("error", "classifier=dep"), ("dropout", "no dropout")):
        with pytest.raises(UserError, match=word):
            ManifoldConsistency(score=score).layers(nn.Flatten())
    with pytest.raises(UserError, match="literal"):
        ManifoldConsistency(literal=True).layers(nn.Flatten())
    with pytest.raises(UserError, match="auto or one of: kernel, error"):
        ManifoldConsistency(score="duq")
    with pytest.raises(UserError, match="members"):
        ManifoldConsistency(score="ensemble")


def test_scores_with_passes_of_their_own_are_charged() -> None:
    assert ManifoldConsistency(score=DropoutEntropy(samples=5)).images == 5
    assert ManifoldConsistency().images == 0
