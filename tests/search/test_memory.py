"""A search in parts where memory is short."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from counterfoil.core.query import Query
from counterfoil.generative.prior.base import Prior
from counterfoil.generative.prior.dip import DIP
from counterfoil.generative.prior.inr import INR
from counterfoil.search import L1, CrossEntropy, Objective, PriorWeights, Search, memory

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
