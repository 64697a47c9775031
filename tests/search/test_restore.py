"""The factual given back: which parts, in which order, and never the decision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.domain import Tokens
from counterfoil.core.query import Query
from counterfoil.search import Restore
from counterfoil.search.restore import blocks, ranked, regions


def test_regions_touch_over_corners_and_are_ranked_by_their_change() -> None:
    change = torch.zeros(1, 6, 6)
    change[0, 0, 0], change[0, 1, 1], change[0, 4, 4] = 0.9, 0.9, 0.5
    part = ranked(regions(change > 0.1), change)
    assert part[0, 4, 4] == 1
    assert part[0, 0, 0] == part[0, 1, 1] == 2
    assert part.count_nonzero() == 3


def test_blocks_that_do_not_change_are_in_no_group() -> None:
    change = torch.zeros(1, 5, 5)
    change[0, 0, 0], change[0, 4, 4] = 0.9, 0.1
    group = blocks(change, 2, 2)
    assert group[0, :2, :2].tolist() == [[2, 2], [2, 2]]
    assert group[0, 4, 4] == 1
    assert group.count_nonzero() == 5


class Corner(nn.Module):
    """Decides for 1 by the pixel in the corner alone."""

    def forward(self, x: Tensor) -> Tensor:
        score = 20 * (x[:, 0, 0, 0] - 0.5)
        return torch.stack((-score, score), dim=1)


def test_all_but_what_the_decision_needs_is_given_back() -> None:
    x = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    image = x.clone()
    image[:, :, 0, 0] = 0.9
    image[:, :, 4:6, 4:6] = 0.8
    image[1] = 0.9
    query = Query(x, torch.ones(2, dtype=torch.int64), Corner(), confidence=0.9)
    better, calls = Restore(groups=16, block=1).improve(query, image)
    assert better[0].flatten().nonzero()[:, 0].tolist() == [0]
    assert better[1].count_nonzero() == 4  # of 16 groups of 64 pixels the last
    assert calls.tolist() == [2 + 1, 1 + 16]
    assert query.reached(Corner()(better)).all()


def test_a_method_that_ends_with_it_is_valid_and_nearer(tiny_classifier: nn.Module, toy: Any) -> None:
    from counterfoil.explainer.wachter import Wachter

    x = toy.test[range(6)].x.double()
    explainer = Wachter(tiny_classifier, scale=1.0, patience=0, confidence=0.8)
    plain = explainer(x)
    explainer.refine = Restore()
    restored = explainer(x)
    assert restored.valid[plain.valid].all()
    assert (restored.target_probability[plain.valid] >= 0.8).all()
    assert (restored.delta.abs().sum((1, 2, 3)) <= plain.delta.abs().sum((1, 2, 3)) + 1e-12).all()
    assert (restored.delta.abs().sum() < 0.9 * plain.delta.abs().sum()).all()
    assert (restored.classifier_calls > plain.classifier_calls).all()
    assert torch.equal(restored.steps, plain.steps)


class Praise(nn.Module):
    """Decides for 1 by how often token 5 stands there: twice is enough."""

    domain = Tokens()

    def forward(self, x: Tensor) -> Tensor:
        score = 4 * (x[:, 0, :, 5].sum(1) - 1.5)
        return torch.stack((-score, score), dim=1)


@pytest.mark.parametrize("block", [1, 2])
def test_tokens_are_given_back_whole(block: int) -> None:
    before = torch.tensor([[2, 3, 4, 2, 3, 4]])
    after = torch.tensor([[5, 5, 4, 5, 2, 3]])
    x, edited = (nn.functional.one_hot(ids, 6)[:, None].double() for ids in (before, after))
    query = Query(x, torch.ones(1, dtype=torch.int64), Praise())
    better, _ = Restore(block=block).improve(query, edited)
    assert better.argmax(-1).tolist() == [[[5, 5, 4, 2, 3, 4]]]
    assert torch.equal(better, query.domain.hard(better))
