"""A recipe of space, objective and search: what it searches, and what it prepares."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.query import Query
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import L1, CrossEntropy, Objective, Pixels, Search


class Noting(L1):
    """A distance that keeps the data it is fitted to."""

    data: Any = None

    def fit(self, classifier: nn.Module, data: Any) -> None:
        self.data = data


def recipe(classifier: nn.Module, **options: Any) -> OptimisedExplainer:
    search = Search(50, partial(torch.optim.Adam, lr=0.02))
    objective = Objective(CrossEntropy(), L1(0.1), noting=Noting(0.0))
    return OptimisedExplainer(classifier, space=Pixels(), objective=objective, search=search, **options)


@pytest.fixture
def x(toy: Any) -> Tensor:
    return toy.test[range(3)].x.double()


def test_searches_the_space_for_the_objective(tiny_classifier: nn.Module, x: Tensor) -> None:
    cf = recipe(tiny_classifier)(x)
    assert cf.valid.all()
    assert (cf.steps > 0).all()


def test_explains_what_ask_makes_of_the_query(tiny_classifier: nn.Module, x: Tensor) -> None:
    decisions = tiny_classifier(x).argmax(1)
    target = (decisions + 1) % 3

    def stay(query: Query) -> Query:
        return replace(query, target=decisions)

    cf = recipe(tiny_classifier, ask=stay)(x, target)
    assert not cf.valid.any()
    assert torch.equal(cf.target, target)


def test_fit_hands_the_data_to_every_further_term(tiny_classifier: nn.Module, toy: Any) -> None:
    method = recipe(tiny_classifier)
    method.fit(toy)
    assert method.objective.terms["noting"].data is toy
