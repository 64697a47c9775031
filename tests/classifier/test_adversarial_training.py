"""The disturbance against a linear network is the worst corner of its box, and training on it helps."""

from __future__ import annotations

import torch
from torch import nn

from counterfoil.classifier.adversarial_training import AdversarialTraining
from counterfoil.data.base import Batch


def batch(rows: int = 16) -> Batch:
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(rows) % 2
    x = 0.5 + 0.1 * torch.randn(rows, 1, 4, 4, generator=draw) + 0.1 * (y[:, None, None, None] - 0.5)
    return Batch(x.clamp(0, 1), y, None)


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


def test_a_long_step_ends_in_the_worst_corner() -> None:
    module, given = AdversarialTraining(linear(), epsilon=0.1, alpha=0.2), batch()
    found = module._disturbed(given.x, given)
    margin = module.net[1].weight[1] - module.net[1].weight[0]
    worse = torch.where(given.y[:, None] == 1, -1.0, 1.0) * margin.sign()
    expected = (given.x + 0.1 * worse.view(-1, 1, 4, 4)).clamp(0, 1)
    torch.testing.assert_close(found, expected)


def test_the_disturbance_stays_in_its_box_and_in_the_range() -> None:
    module, given = AdversarialTraining(linear(), epsilon=0.3, alpha=0.05), batch()
    found = module._disturbed(given.x, given)
    assert float((found - given.x).abs().max()) <= 0.3 + 1e-6
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert not found.requires_grad


def test_trained_so_it_withstands_what_turns_the_plain_one() -> None:
    given, errors = batch(64), {}
    for epsilon in (1e-6, 0.05):
        torch.manual_seed(1)
        module = AdversarialTraining(linear(), epsilon=epsilon, alpha=1.25 * epsilon)
        module.report = lambda *_: None  # type: ignore[method-assign]
        optimizer = torch.optim.Adam(module.net.parameters(), lr=0.02)
        for step in range(300):
            optimizer.zero_grad()
            module.training_step(given, step).backward()
            optimizer.step()
        module.epsilon, module.alpha = 0.05, 0.1
        loss, _accuracy = module._measure(module(module._disturbed(given.x, given)), given)
        errors[epsilon] = float(loss.detach())
    assert errors[0.05] < errors[1e-6]
