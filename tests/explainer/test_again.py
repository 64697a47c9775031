"""Second explanations of a linear classifier, whose every counterfactual is known on paper."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Found
from counterfoil.core.query import Query
from counterfoil.explainer.again import SIGMA, again, noisy
from counterfoil.explainer.base import Explainer

MARGIN = 0.5
W = torch.tensor([1.0, -2.0, 0.5, 0.25], dtype=torch.float64)
X = torch.tensor([[0.4, 0.5, 0.6, 0.5], [0.3, 0.4, 0.5, 0.4]], dtype=torch.float64).view(2, 1, 2, 2)


class ToTheMargin(Explainer):
    """Moves along w until w x is the margin, +m for class 1 and -m for class 0; the k-th time k m."""

    def explain(self, query: Query) -> Found:
        assert query.repeat is not None
        wanted = MARGIN * (2 * query.target - 1).to(X) * (1 + query.repeat)
        none = torch.zeros(len(query))
        return Found(query.factual + along(query.factual, wanted), none + 7, none + 3)


def along(x: Tensor, wanted: Tensor) -> Tensor:
    """What leads an image along w to a value of w x."""
    return ((wanted - x.flatten(1) @ W) / W.square().sum())[:, None, None, None] * W.view(1, 1, 2, 2)


@pytest.fixture
def explainer(linear: Any) -> ToTheMargin:
    return ToTheMargin(linear(torch.stack((torch.zeros(4), W))))


def test_each_pass_of_a_linear_classifier(explainer: ToTheMargin) -> None:
    """The class of both is 0, w x being -.175 and -.15, so the way there ends at +m and that back at -m."""
    cf = explainer(X, torch.tensor([1, 1]))
    found = again(explainer, cf, ("back", "noise", "own"))
    m = torch.tensor([MARGIN, MARGIN], dtype=torch.float64)
    torch.testing.assert_close(cf.counterfactual, X + along(X, m))
    for name in ("back", "own"):
        torch.testing.assert_close(found.extra[name], X + along(X, -m))
    n = noisy(X, cf.query) - X
    across = n + along(n, torch.zeros(2).to(X))
    torch.testing.assert_close(found.extra["noise"] - cf.counterfactual, across)
    for name, value in cf.tensors().items():
        assert torch.equal(found.tensors()[name], value), "all else stays, costs included"
    assert (explainer.asks_all, explainer.confidence) == (False, 0.5)


def test_the_noise_is_that_of_the_query_whatever_the_batch(explainer: ToTheMargin) -> None:
    x = torch.full((400, 1, 2, 2), 0.5)
    whole = noisy(x, torch.arange(400))
    assert torch.equal(whole[[7]], noisy(x[:1], torch.tensor([7])))
    assert float((whole - 0.5).std()) == pytest.approx(SIGMA, rel=0.1)
    assert float(noisy(torch.ones(9, 1, 2, 2), torch.arange(9)).max()) == 1.0


def test_the_first_of_several_counterfactuals_is_explained_again(explainer: ToTheMargin) -> None:
    single = again(explainer, explainer(X, torch.tensor([1, 1])), ["back"]).extra["back"]
    explainer.count = 2
    found = again(explainer, explainer(X, torch.tensor([1, 1])), ["back"]).extra["back"]
    torch.testing.assert_close(found[::2], single)
    assert found[1::2].isnan().all()


def test_without_a_further_pass_the_explainer_lets_reached_queries_off(explainer: ToTheMargin) -> None:
    own = explainer(X, torch.tensor([0, 0]))
    assert torch.equal(own.counterfactual, X)


class ToTheOther(ToTheMargin):
    """The same, told to lead anywhere: to class 1, whatever is requested."""

    any_class = True

    def explain(self, query: Query) -> Found:
        if not self.any_class:
            return super().explain(query)
        ahead = query.towards(torch.ones_like(query.target))
        return replace(super().explain(ahead), target=ahead.target)


def test_a_way_back_leads_to_the_own_class_alone(linear: Any) -> None:
    explainer = ToTheOther(linear(torch.stack((torch.zeros(4), W))))
    m = torch.tensor([MARGIN, MARGIN], dtype=torch.float64)
    found = again(explainer, explainer(X, torch.tensor([1, 1])), ("back", "noise", "own"))
    for name in ("back", "own"):
        torch.testing.assert_close(found.extra[name], X + along(X, -m))
    assert explainer.any_class
