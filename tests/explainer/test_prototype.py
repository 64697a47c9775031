"""Guidance by prototypes: it pulls the code, and needs a model with an encoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.prototype import CFProto


def test_the_code_comes_nearer_to_the_prototype(tiny_classifier: nn.Module, tiny_vae: Any, toy: Any) -> None:
    x = toy.test[range(3)].x.double()
    target = (tiny_classifier(x).argmax(1) + 1) % 3

    def apart(theta: float) -> float:
        options: dict[str, Any] = {"theta": theta, "gamma": 0.0, "beta": 0.01, "rounds": 1, "steps": 60}
        explainer = CFProto(tiny_classifier, tiny_vae, patience=None, confidence=1.0, **options)
        explainer.fit(toy)
        found = tiny_vae.encode(explainer(x, target).counterfactual)
        train = toy.train[range(len(toy.train))].x.double()
        decision = tiny_classifier(train).argmax(1)
        distances = [
            torch.cdist(code[None], tiny_vae.encode(train[decision == k]))[0].sort().values[:20].mean()
            for code, k in zip(found, target.tolist(), strict=True)
            if bool((decision == k).any())
        ]
        return float(torch.stack(distances).mean())

    assert apart(20.0) < apart(0.0)


def test_a_generator_is_needed(tiny_classifier: nn.Module) -> None:
    with pytest.raises(UserError, match="explainer prototype needs a generator"):
        CFProto(tiny_classifier, None)
