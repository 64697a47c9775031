"""Queries wait in their order, come back for further rounds, and are handed out batch by batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.core.query import Query
from counterfoil.search import Tradeoff
from counterfoil.search.best import Best
from counterfoil.search.feed import Asked, Feed, by_batch


@pytest.fixture
def queries(tiny_classifier: nn.Module, toy: Any) -> list[Query]:
    x = toy.test[range(6)].x.double()
    target = torch.zeros(6, dtype=torch.int64)
    return [Query(x[part], target[part], tiny_classifier) for part in (slice(0, 2), slice(2, 6))]


def fed(queries: list[Query], opened: list[Query], **options: Any) -> Feed:
    return Feed(queries, Tradeoff(**options), opened.append)


def numbers(rows: list[tuple[Asked, int]]) -> list[tuple[int, int]]:
    return [(asked.place, row) for asked, row in rows]


def back(feed: Feed, rows: list[tuple[Asked, int]], success: bool) -> None:
    for asked, _here, own in by_batch(rows):
        best = asked.best[torch.tensor(own)]
        best.success = torch.full_like(best.success, success)
        feed.take_back(asked, own, best, torch.ones(len(own), dtype=torch.float64))


def test_batches_are_opened_as_there_is_room(queries: list[Query]) -> None:
    opened: list[Query] = []
    feed = fed(queries, opened)
    assert numbers(feed.take(2)) == [(0, 0), (0, 1)]
    assert len(opened) == 1
    assert numbers(feed.take(3)) == [(1, 0), (1, 1), (1, 2)]
    assert numbers(feed.take(9)) == [(1, 3)]
    assert feed.take(9) == []


def test_rows_that_fail_are_next(queries: list[Query]) -> None:
    feed = fed(queries, [], rounds=2)
    first = feed.take(3)
    back(feed, first[:2], success=False)
    assert numbers(feed.take(3)) == [(0, 0), (0, 1), (1, 1)]
    back(feed, first[:2], success=False)
    assert [asked.place for asked in feed.finished()] == [0], "its rounds are over"
    assert list(feed.finished()) == []


def test_a_batch_is_finished_with_its_last_row(queries: list[Query]) -> None:
    feed = fed(queries, [], rounds=3)
    rows = feed.take(6)
    back(feed, rows[:1] + rows[2:], success=True)
    (asked,) = feed.finished()
    assert asked.place == 1
    found = asked.found(images=2, before=1, timed=True)
    assert found.classifier_calls.tolist() == [1 + 1] * 4  # one point in one round, and what comes before
    assert found.seconds is not None
    assert found.seconds.tolist() == [1.0] * 4
    assert asked.found(0, 0, timed=False).seconds is None


def test_a_failure_raises_the_weight_of_its_own_row(queries: list[Query]) -> None:
    asked = Asked(0, queries[1], Tradeoff(factor=10.0, rounds=3))
    best = Best.empty(queries[1])[torch.tensor([2])]
    assert asked.take_back([2], best, torch.zeros(1, dtype=torch.float64)) == [2]
    assert asked.value.tolist() == [1.0, 1.0, 10.0, 1.0]


def test_rows_are_told_by_batch(queries: list[Query]) -> None:
    one, two = (Asked(place, query, Tradeoff()) for place, query in enumerate(queries))
    found = [(asked.place, here, own) for asked, here, own in by_batch([(one, 1), (two, 3), (one, 0)])]
    assert found == [(0, [0, 2], [1, 0]), (1, [1], [3])]
