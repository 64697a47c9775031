"""Relative distances of activations, and the schedule that drops layers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.query import Query
from counterfoil.search import Candidate, Dropping, FeaturePreservation


class Double(nn.Module):
    """Doubles pixels, then adds them up."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(1, 1, 1, bias=False).double()
        nn.init.constant_(self.twice.weight, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.twice(x).flatten(1)


X = torch.tensor([[0.2, 0.4], [1.0, 0.0]], dtype=torch.float64).view(2, 1, 1, 2)
MOVED = torch.tensor([[0.3, 0.4], [0.5, 0.5]], dtype=torch.float64).view(2, 1, 1, 2)


def value(progress: float = 0.0, **options: object) -> list[float]:
    model = Double().requires_grad_(False)
    query = Query(X, torch.zeros(2).long(), model)
    term = FeaturePreservation(**options)  # type: ignore[arg-type]
    logits = model(MOVED)
    candidate = Candidate(
        {}, MOVED, logits, progress, {name: model.twice(MOVED) for name in term.layers(model)}
    )
    found: list[float] = term(query, candidate).tolist()
    return found


PIXELS = [0.005 / (0.1 + 1e-4), 0.25 / (0.5 + 1e-4)]
LAYER = [0.02 / (0.4 + 1e-4), 1.0 / (2.0 + 1e-4)]


def test_by_hand() -> None:
    assert value(names=()) == pytest.approx(PIXELS)
    assert value(pixels=False) == pytest.approx(LAYER)
    assert value() == pytest.approx([a + b for a, b in zip(PIXELS, LAYER, strict=True)])
    assert value(names=(), pixels=False) == [0.0, 0.0]


def test_the_curriculum_weighs_layers_by_progress() -> None:
    dropping = Dropping(0.25, keep=1)
    assert value(0.24, curriculum=dropping) == pytest.approx(
        [a + b for a, b in zip(PIXELS, LAYER, strict=True)]
    )
    assert value(0.25, curriculum=dropping) == pytest.approx(LAYER)
    assert value(1.0, curriculum=dropping) == pytest.approx(LAYER)


def test_layers_leave_one_after_another_and_the_deepest_stay() -> None:
    dropping = Dropping(20 / 300, keep=2)
    stages = [[int(w) for w in dropping(step / 300, 5)] for step in (0, 19, 20, 39, 40, 60, 300)]
    assert stages == [
        [1] * 5,
        [1] * 5,
        [0, 1, 1, 1, 1],
        [0, 1, 1, 1, 1],
        [0, 0, 1, 1, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
    ]
    assert Dropping(0.1, keep=2)(1.0, 1) == [1.0]
