"""A search in parts where memory is short."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.core.counterfactuals import Found
from counterfoil.core.query import Query
from counterfoil.data.base import ImageData
from counterfoil.generative.prior.base import Prior
from counterfoil.generative.prior.dip import DIP
from counterfoil.generative.prior.inr import INR
from counterfoil.search import (
    L1,
    CrossEntropy,
    Objective,
    Pixels,
    PriorWeights,
    Search,
    Stop,
    Tradeoff,
    memory,
)

PRIORS: dict[str, Callable[..., Prior]] = {
    "inr": lambda **options: INR(frequencies=8, width=8, depth=2, **options),
    "dip": lambda **options: DIP(channels=(4, 6), noise=3, **options),
}


@pytest.fixture
def query(tiny_classifier: nn.Module) -> Query:
    x = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Query(x, torch.arange(3), tiny_classifier)


@pytest.mark.parametrize("kind", list(PRIORS))
def test_queries_that_do_not_fit_are_explained_in_parts(
    kind: str, query: Query, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prior = PriorWeights(PRIORS[kind](steps=5, psnr=0.0))
    search = Search(6, torch.optim.Adam)
    objective = Objective(CrossEntropy(), L1())
    whole = search(query, prior, objective)
    assert prior.capacity(query) == 3
    each = memory.bytes_of_a_row(query[torch.tensor([0])], prior.draw, prior.decode)
    weights = sum(math.prod(size) for size, _ in prior.prior.weights((1, 16, 16)).values())
    assert each > memory.COPIES * 8 * weights
    monkeypatch.setattr(memory, "free_memory", lambda _device: 2.5 * each / memory.SHARE)
    caplog.set_level("INFO", "counterfoil")
    parts = search(Query(query.factual, query.target, query.classifier), prior, objective)
    assert "2 of 3 queries fit" in caplog.text
    torch.testing.assert_close(parts.counterfactual, whole.counterfactual, rtol=0, atol=1e-8)
    torch.testing.assert_close(parts.extra["psnr"], whole.extra["psnr"])
    assert torch.equal(parts.steps, whole.steps)


def test_more_pixels_take_more_memory(tiny_classifier: nn.Module) -> None:
    def need(size: int) -> float:
        query = Query(
            torch.rand(1, 1, size, size, dtype=torch.float64),
            torch.zeros(1).long(),
            nn.Sequential(nn.AdaptiveAvgPool2d(16), tiny_classifier),
        )
        prior = PriorWeights(PRIORS["inr"]())
        return memory.bytes_of_a_row(query, prior.draw, prior.decode)

    assert need(64) > 3 * need(16)


def test_where_the_system_does_not_say_what_is_free_all_are_tried(
    query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (memory.free_memory(torch.device("cpu")) or 2**20) >= 2**20
    monkeypatch.setattr(memory, "free_memory", lambda _device: None)
    assert PriorWeights(PRIORS["inr"]()).capacity(query) == 3


def test_a_limit_of_the_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "headroom", lambda: 12345.0)
    assert memory.free_memory(torch.device("cpu")) == 12345.0


class Narrow(nn.Module):
    """Shows the classifier of a query no more than `most` images at once."""

    def __init__(self, net: nn.Module, most: int, error: Exception) -> None:
        super().__init__()
        self.net, self.most, self.error = net, most, error
        self.shown: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.shown.append(len(x))
        if len(x) > self.most:
            raise self.error
        logits: torch.Tensor = self.net(x)
        return logits


ON_CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: 9 B")
ON_GPU = torch.cuda.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize("refill", [None, 9])
@pytest.mark.parametrize("error", [ON_CPU, ON_GPU])
def test_out_of_memory_halves_what_is_searched_at_once(
    error: Exception,
    refill: int | None,
    tiny_classifier: nn.Module,
    toy: ImageData,
    caplog: pytest.LogCaptureFixture,
) -> None:
    x = toy.test[range(9)].x.double()
    target = tiny_classifier(x).topk(2).indices[:, 1]
    objective, narrow = Objective(CrossEntropy(), L1(20.0)), Narrow(tiny_classifier, 2, error)

    def run(classifier: nn.Module) -> Found:
        query = Query(x, target, classifier, confidence=0.9)
        query.__dict__["logits"] = tiny_classifier(x)
        options: dict[str, Any] = {"crowd": 0.0, "stop": Stop(3), "tradeoff": Tradeoff(rounds=2)}
        found.append(Search(30, partial(torch.optim.Adam, lr=0.02), refill=refill, **options))
        return found[-1](query, Pixels(), objective)

    found: list[Search] = []
    whole, halved = run(tiny_classifier), run(narrow)
    torch.testing.assert_close(halved.counterfactual, whole.counterfactual, rtol=0, atol=1e-9)
    assert torch.equal(halved.steps, whole.steps)
    assert torch.equal(halved.classifier_calls, whole.classifier_calls)
    assert narrow.shown[:3] == [9, 4, 2]
    assert caplog.text.count("out of memory with 9 queries at once; it goes on with 4") == 1
    found[-1](Query(x, target, narrow), Pixels(), objective)
    assert max(narrow.shown[3:]) == 2, "what was learnt is not tried again"


def test_one_query_that_does_not_fit_is_an_error(query: Query) -> None:
    narrow = Query(query.factual, query.target, Narrow(query.classifier, 0, ON_CPU))
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        Search(3, torch.optim.Adam)(narrow, Pixels(), Objective(CrossEntropy(), L1()))


def test_other_errors_are_not_tried_again(query: Query) -> None:
    broken = Narrow(query.classifier, 0, RuntimeError("shapes"))
    with pytest.raises(RuntimeError, match="shapes"):
        Search(3, torch.optim.Adam)(
            Query(query.factual, query.target, broken), Pixels(), Objective(CrossEntropy(), L1())
        )
    assert broken.shown == [3]


def test_a_batch_of_large_images_is_cut(query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Pixels().capacity(query) == 3
    each = memory.bytes_of_a_row(query[torch.tensor([0])], Pixels().start, Pixels().decode)
    monkeypatch.setattr(memory, "free_memory", lambda _device: 2.5 * each / memory.SHARE)
    assert Pixels().capacity(query) == 2
