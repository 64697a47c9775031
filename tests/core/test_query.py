"""A batch of queries: rows taken, seeds, masks and what counts as reached."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.core.query import Query, probability_of, reaches


@pytest.fixture
def query(tiny_classifier: nn.Module, toy: Any) -> Query:
    mask = torch.zeros(5, 1, 16, 16, dtype=torch.bool)
    mask[::2, :, :8] = True
    x = toy.test[[0, 1, 2, 0, 0]].x.double()
    return Query(
        x, torch.tensor([0, 1, 2, 0, 1]), tiny_classifier, mask=mask, repeat=torch.tensor([0, 0, 0, 1, 0])
    )


@pytest.mark.parametrize("rows", [torch.tensor([3, 1]), torch.tensor([False, True, False, True, True])])
def test_rows_are_taken_of_everything(query: Query, rows: torch.Tensor) -> None:
    before = (query.logits, query.seeds)
    part = query[rows]
    assert len(part) == int(rows.sum() if rows.dtype == torch.bool else len(rows))
    for name in ("factual", "target", "mask", "repeat", "logits"):
        assert torch.equal(getattr(part, name), getattr(query, name)[rows]), name
    chosen = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
    assert part.seeds == [before[1][i] for i in chosen.tolist()]
    assert part.classifier is query.classifier
    assert torch.equal(part.randn(3), query.randn(3)[rows])


def test_cached_logits_are_not_computed_again(query: Query) -> None:
    _ = query.logits
    query.classifier.forward = None  # type: ignore[assignment, method-assign]
    assert query[torch.tensor([0])].logits.shape == (1, 3)
    assert query.source.shape == (5,)


def test_seeds_tell_rows_apart_by_content_target_and_counterfactual(query: Query) -> None:
    """Rows 0, 3 and 4 show the same image: 3 is another counterfactual, 4 another target."""
    assert len(set(query.seeds)) == 5
    again = Query(query.factual[:1], query.target[:1], query.classifier, repeat=torch.tensor([0]))
    assert again.seeds == query.seeds[:1]
    assert Query(query.factual[:1].float(), query.target[:1], query.classifier).seeds == query.seeds[:1]


def test_draws_do_not_depend_on_the_batch_and_leave_the_global_stream(query: Query) -> None:
    state = torch.get_rng_state()
    whole = query.randn(2, 3, stream=4)
    torch.rand(1)
    torch.set_rng_state(state)
    assert torch.equal(query[torch.tensor([2])].randn(2, 3, stream=4), whole[2:3])
    assert torch.equal(state, torch.get_rng_state())
    assert whole.dtype == query.factual.dtype
    assert not torch.equal(query.randn(2, 3, stream=5), whole)
    assert 0 <= query.rand(100).min() < 0.1 < 0.9 < query.rand(100).max() < 1


def test_reached_asks_for_the_decision_and_the_confidence() -> None:
    p = torch.tensor([[0.4, 0.6], [0.1, 0.9], [0.6, 0.4], [0.5, 0.5]], dtype=torch.float64)
    target = torch.tensor([1, 1, 1, 0])
    torch.testing.assert_close(probability_of(p.log(), target), p.gather(1, target[:, None])[:, 0])
    assert reaches(p.log(), target, 0.5).tolist() == [True, True, False, True]
    assert reaches(p.log(), target, 0.7).tolist() == [False, True, False, False]
    assert reaches(p.log(), torch.tensor([0] * 4), 0.3).tolist() == [False, False, True, True], (
        "0.4 is not the decision"
    )


def test_keep_puts_masked_pixels_back(query: Query) -> None:
    kept = query.keep(torch.zeros_like(query.factual))
    assert torch.equal(kept[0, :, :8], query.factual[0, :, :8])
    assert (kept[0, :, 8:] == 0).all()
    assert (kept[1] == 0).all()
    free = Query(query.factual, query.target, query.classifier)
    assert (free.keep(torch.zeros_like(query.factual)) == 0).all()


def test_one_predicate_says_what_is_reached() -> None:
    """Of single images and of strips; what is not finite reaches nothing."""
    logits = torch.tensor([[[0.0, 1.0], [3.0, 0.0]], [[0.0, 5.0], [torch.nan, torch.nan]]])
    target = torch.tensor([1, 0])
    assert reaches(logits, target).tolist() == [[True, False], [False, False]]
    assert reaches(logits[:, 0], target).tolist() == [True, False]
    assert reaches(logits, torch.tensor([0, 1]), 0.99).tolist() == [[False, False], [True, False]]
    torch.testing.assert_close(probability_of(logits, target)[0], torch.tensor([1.0, -3.0]).sigmoid())


@pytest.mark.parametrize("confidence", [0.2, 0.5, 0.52, 0.95])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_is_graded_by_the_same_predicate(confidence: float, dtype: torch.dtype) -> None:
    """Above one half the probability alone is asked, with the same answers: also on ties and infinities."""
    draw = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(500, 4, generator=draw).to(dtype)
    logits[:100, 1] = logits[:100, 0] + torch.linspace(-0.05, 0.05, 100).to(dtype)
    logits[100:200, 2:] = -20.0
    for row, value in enumerate((torch.nan, torch.inf, -torch.inf)):
        logits[row::50, 3] = value
    target = torch.arange(500) % 2
    query = Query(torch.zeros(500, 1, 2, 2), target, torch.nn.Identity(), confidence)
    reached = query.reached(logits)
    assert torch.equal(reached, reaches(logits, target, confidence))
    assert reached.any()
    assert not reached.all()


def test_queries_to_another_target_keep_what_is_known_of_the_factual(query: Query) -> None:
    assert query.towards(None) is query
    logits = query.logits
    other = query.towards(1 - query.target)
    assert other.target.tolist() == (1 - query.target).tolist()
    assert other.logits is logits
    assert other.seeds != query.seeds
