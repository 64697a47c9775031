"""A drawn example of the target class."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from counterfoil.explainer.random_image import RandomImage


def test_every_draw_is_an_example_that_the_classifier_gives_the_target(
    tiny_classifier: nn.Module, toy: Any
) -> None:
    explainer = RandomImage(tiny_classifier, count=3)
    explainer.fit(toy)
    known = toy.train[range(len(toy.train))].x.double()
    cf = explainer(toy.test[range(8)].x.double())
    moved = (cf.counterfactual != cf.factual).flatten(1).any(1)
    assert int(moved.sum()) > 8
    assert bool(cf.valid[moved].all())
    for image in cf.counterfactual[moved]:
        assert (image == known).flatten(1).all(1).any()


def test_counterfactuals_of_a_query_are_different_draws(tiny_classifier: nn.Module, toy: Any) -> None:
    explainer = RandomImage(tiny_classifier, count=8)
    explainer.fit(toy)
    cf = explainer(toy.test[range(4)].x.double())
    assert len(torch.unique(cf.counterfactual.flatten(1), dim=0)) > 8
