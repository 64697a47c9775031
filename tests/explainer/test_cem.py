"""Pertinent negatives: what has to be added."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.cem import CEM


def test_only_what_the_target_needs_is_added(linear: Any) -> None:
    weight = torch.tensor([[0.0] * 4, [8.0, -8.0, 0.5, 0.0]])
    x = torch.full((1, 1, 2, 2), 0.2, dtype=torch.float64)
    cf = CEM(linear(weight, torch.tensor([3.0, 0.0])), None, gamma=0.0, beta=0.01, confidence=0.6)(x, 1)
    assert cf.valid.all()
    delta = cf.delta.flatten()
    assert delta[0] > 0.1
    assert delta[1:].tolist() == [0.0, 0.0, 0.0]
    free = CEM(linear(weight, torch.tensor([3.0, 0.0])), None, gamma=0.0, beta=0.01, absent=None)(x, 1)
    assert free.delta.flatten()[1] < 0


def test_the_term_of_the_auto_encoder_needs_one(tiny_classifier: nn.Module) -> None:
    with pytest.raises(UserError, match="explainer cem needs a generator"):
        CEM(tiny_classifier, None)
