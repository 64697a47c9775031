"""Mixtures and their loss by hand; a posterior that is mild between the classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.classifier.mixup_training import MixupTraining
from counterfoil.classifier.training import ClassifierTraining
from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch


def batch(rows: int = 64) -> Batch:
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(rows) % 2
    x = 0.3 + 0.02 * torch.randn(rows, 1, 4, 4, generator=draw) + 0.4 * y[:, None, None, None]
    return Batch(x.clamp(0, 1), y, None)


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


class Fixed(MixupTraining):
    """With given shares and partners."""

    def _draw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.linspace(0, 1, len(x)), torch.arange(len(x)).roll(1)

    def report(self, *_: Any) -> None:
        return


def test_the_loss_is_that_of_both_classes_in_proportion() -> None:
    module, given = Fixed(linear(), label_smoothing=0.2), batch(8)
    share, partner = module._draw(given.x)
    mixed = share[:, None, None, None] * given.x + (1 - share[:, None, None, None]) * given.x[partner]
    wanted = share[:, None] * F.one_hot(given.y, 2) + (1 - share[:, None]) * F.one_hot(given.y[partner], 2)
    expected = F.cross_entropy(module.net(mixed), 0.8 * wanted + 0.1)
    torch.testing.assert_close(module.training_step(given, 0), expected)


def test_shares_lie_between_0_and_1_and_follow_alpha() -> None:
    x = torch.zeros(2000, 1, 4, 4)
    spreads = []
    for alpha in (0.1, 1.0, 50.0):
        torch.manual_seed(0)
        share, partner = MixupTraining(linear(), alpha=alpha)._draw(x)
        assert 0 <= float(share.min()) <= float(share.max()) <= 1
        assert sorted(partner.tolist()) == list(range(2000))
        spreads.append(float(share.std()))
    assert spreads[0] > spreads[1] > spreads[2]
    assert spreads[1] == pytest.approx(12**-0.5, abs=0.02)


def test_trained_so_the_posterior_is_mild_between_the_classes() -> None:
    given, found = batch(), []
    for kind in (ClassifierTraining, MixupTraining):
        torch.manual_seed(1)
        module: Any = kind(linear())
        module.report = lambda *_: None
        optimizer = torch.optim.Adam(module.net.parameters(), lr=0.1)
        for step in range(400):
            optimizer.zero_grad()
            module.training_step(given, step).backward()
            optimizer.step()
        three_quarters = torch.full((1, 1, 4, 4), 0.6)
        found.append(float(module(three_quarters).detach().softmax(1)[0, 1]))
    plain, mixed = found
    assert 0.65 < mixed < 0.9, "half of the partners are of the same class, which steepens the line"
    assert plain > 0.95


def test_attributes_are_refused() -> None:
    with pytest.raises(UserError, match="multilabel"):
        MixupTraining(linear(), multilabel=True)
