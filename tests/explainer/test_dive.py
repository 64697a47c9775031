"""Counterfactuals that differ."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.dive import DiVE


def likeness(explainer: DiVE, x: Tensor) -> float:
    """Mean squared cosine between the changes of two counterfactuals' codes."""
    cf = explainer(x)
    change = (cf.extra["z"] - explainer.generator.encode(cf.factual)).unflatten(0, (len(x), 2))
    searched = cf.steps.view(len(x), 2).amin(1) > 0
    return float(nn.functional.cosine_similarity(change[:, 0], change[:, 1], dim=1).square()[searched].mean())


@pytest.fixture
def x(toy: Any) -> Tensor:
    images: Tensor = toy.test[range(6)].x.double()
    return images


def test_the_term_and_the_masks_set_them_apart(
    tiny_classifier: nn.Module, tiny_vae: nn.Module, toy: Any, x: Tensor
) -> None:
    def alike(**options: Any) -> float:
        explainer = DiVE(tiny_classifier, tiny_vae, count=2, lambda_=0.0, gamma=0.0, steps=30, **options)
        explainer.fit(toy)
        return likeness(explainer, x)

    plain = alike(masks="none", alpha=0.0)
    assert alike(masks="none", alpha=5.0) < plain - 0.2
    assert alike(masks="spectral", alpha=0.0) < 1e-12


def test_a_generator_is_needed(tiny_classifier: nn.Module) -> None:
    with pytest.raises(UserError, match="explainer dive needs a generator"):
        DiVE(tiny_classifier, None)
