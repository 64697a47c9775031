"""The loss by hand, and an embedding that learns."""

from __future__ import annotations

import math

import pytest
import torch

from counterfoil.data.digits import Digits
from counterfoil.generative.style.network import Style, retrieved, view
from counterfoil.generative.style.training import StyleTraining, nt_xent


def test_the_loss_is_that_of_the_paper() -> None:
    """(1, 0), (0, 1) and the same again: each has one twin at cosine 1 and two others at 0."""
    e = torch.eye(2)
    assert float(nt_xent(e, e, 0.5)) == pytest.approx(math.log(math.exp(2) + 2) - 2)
    assert float(nt_xent(e, e.flip(0), 0.5)) == pytest.approx(math.log(math.exp(2) + 2))


def test_a_few_steps_find_more_second_views() -> None:
    torch.manual_seed(0)
    training = StyleTraining(Style(width=8, embedding=16))
    training.report = lambda *_: None  # type: ignore[method-assign]
    batch = Digits().train[range(64)]
    optimizer = torch.optim.Adam(training.parameters(), lr=1e-2)

    def found() -> float:
        draw = torch.Generator().manual_seed(1)
        with torch.no_grad():
            first, second = (training.net(view(batch.x, draw=draw)) for _ in range(2))
        return float(retrieved(first, second).float().mean())

    before = found()

    for step in range(15):
        optimizer.zero_grad()
        training.training_step(batch, step).backward()
        optimizer.step()
    now = found()
    assert now > before + 0.3, (before, now)
