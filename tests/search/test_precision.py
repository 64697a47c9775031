"""A search in bfloat16: what it finds holds in float32, and what does not goes on in float32."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from counterfoil.core.counterfactuals import Found
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search import L1, CrossEntropy, Objective, Pixels, Search, Stop, Tradeoff, precision
from counterfoil.search.precision import Lowered, lowers
from counterfoil.testing import TinyClassifier

CPU = torch.device("cpu")


class Boastful(nn.Module):
    """In bfloat16 it gives every image every class: the logits of the wrapped one, and all the more."""

    def __init__(self, net: nn.Module, target: int) -> None:
        super().__init__()
        self.net, self.target = net, target

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        low = torch.is_autocast_enabled("cpu")
        SHOWN.append((len(x), low))
        lead = nn.functional.one_hot(torch.tensor([self.target]), logits.shape[1])
        return logits + (1000 * low) * lead


SHOWN: list[tuple[int, bool]] = []
"""How many images each pass was shown, and whether in bfloat16."""


@pytest.fixture
def query(toy: Any) -> Query:
    net = TinyClassifier().eval().requires_grad_(False)
    x = toy.test[range(12)].x.float()
    return Query(x, net(x).topk(2).indices[:, 1], net, confidence=0.9)


def search(query: Query, **options: Any) -> Found:
    made = Search(**{"steps": 60, "optimizer": partial(Adam, lr=0.02), "precision": "bf16", **options})
    return made(query, Pixels(), Objective(CrossEntropy(), L1(20.0)))


def known(query: Query) -> Query:
    """The same, its factuals' logits asked for; nothing is noted as shown yet."""
    assert len(query.logits) == len(query)
    SHOWN.clear()
    return query


@pytest.mark.parametrize("refill", [None, 5])
@pytest.mark.parametrize("patience", [0, 10])
def test_what_is_found_holds_in_float32(query: Query, refill: int | None, patience: int) -> None:
    options = {"stop": Stop(patience), "tradeoff": Tradeoff(rounds=2), "refill": refill}
    fine, found = search(query, precision="float32", **options), search(query, **options)
    assert query.reached(query.classifier(fine.counterfactual)).all()
    assert query.reached(query.classifier(found.counterfactual)).all()
    assert found.counterfactual.dtype == torch.float32
    near = (fine.counterfactual - query.factual).abs().mean()
    assert (found.counterfactual - query.factual).abs().mean() < 1.05 * near
    assert int((found.classifier_calls - found.steps).sum()) > 12, "points graded again are charged"


def test_a_row_that_fails_in_float32_goes_on_in_it(query: Query) -> None:
    SHOWN.clear()
    asked = Query(query.factual, torch.full((12,), 2), Boastful(query.classifier, 2), confidence=0.9)
    found, fine = search(asked, crowd=0.0), search(asked, precision="float32", crowd=0.0)
    with torch.no_grad():
        assert asked.reached(asked.classifier(found.counterfactual)).equal(
            asked.reached(asked.classifier(fine.counterfactual))
        )
    low = [rows for rows, lowered in SHOWN if lowered]
    assert low == [12], "after the first step all rows are evaluated in float32"
    assert (found.steps - fine.steps).abs().max() <= 3


def test_rows_of_both_kinds_stand_beside_each_other(query: Query) -> None:
    exact = torch.arange(12) % 3 == 0
    x = query.factual.clone().requires_grad_()
    mixed = Lowered().point(query, Pixels(), {"x": x}, ["body.1"], exact)
    fine, low = (
        Lowered().point(query, Pixels(), {"x": x}, ["body.1"], all_) for all_ in (exact | True, exact & False)
    )
    torch.testing.assert_close(mixed.logits[exact], fine.logits[exact])
    torch.testing.assert_close(mixed.logits[~exact], low.logits[~exact], rtol=0.02, atol=0.02)
    assert not torch.equal(low.logits, fine.logits)
    torch.testing.assert_close(mixed.features["body.1"][exact], fine.features["body.1"][exact])
    mixed.logits.sum().backward()
    assert x.grad is not None
    assert bool((x.grad.flatten(1).abs().sum(1) > 0).all())


def test_a_row_without_success_takes_its_next_round_in_float32(query: Query) -> None:
    x = query.factual[query.source != 1]
    asked = known(Query(x, torch.ones(len(x), dtype=torch.int64), Boastful(query.classifier, 0)))
    search(asked, steps=3, optimizer=partial(Adam, lr=1e-9), tradeoff=Tradeoff(rounds=2))
    assert [lowered for rows, lowered in SHOWN] == [True] * 4 + [False] * 4


def test_the_last_point_is_told_in_float32(query: Query) -> None:
    asked = known(Query(query.factual, query.target, Boastful(query.classifier, 0), confidence=0.9))
    search(asked, steps=3, last=True)
    assert [lowered for rows, lowered in SHOWN] == [True] * 3 + [False]


def test_the_networks_given_stay_as_they_are(query: Query) -> None:
    before = {name: value.clone() for name, value in query.classifier.state_dict().items()}
    search(query)
    assert all(value.equal(before[name]) for name, value in query.classifier.state_dict().items())
    assert all(value.is_contiguous() for value in query.classifier.parameters())


@pytest.mark.parametrize(
    ("flags", "gains"),
    [({"avx512_bf16"}, True), ({"amx_bf16"}, True), ({"avx512f", "avx2"}, False), ((), False)],
)
def test_auto_asks_the_processor(monkeypatch: pytest.MonkeyPatch, flags: Any, gains: bool) -> None:
    monkeypatch.setattr(precision, "processor_flags", lambda: frozenset(flags))
    assert lowers("auto", CPU, torch.float32) is gains
    assert lowers("bf16", CPU, torch.float32)
    assert not lowers("float32", CPU, torch.float32)
    assert not lowers("auto", CPU, torch.float64)


@pytest.mark.parametrize(("capability", "gains"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_auto_asks_a_gpu(monkeypatch: pytest.MonkeyPatch, capability: Any, gains: bool) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    assert lowers("auto", torch.device("cuda"), torch.float32) is gains


def test_double_precision_is_refused(query: Query) -> None:
    with pytest.raises(UserError, match=r"^precision=bf16 goes with dtype=float32, found dtype=float64; .*"):
        lowers("bf16", CPU, torch.float64)


def test_a_few_queries_are_left_in_float32(query: Query) -> None:
    few = torch.arange(precision.FEW - 1)
    asked = known(Query(query.factual[few], query.target[few], Boastful(query.classifier, 0)))
    search(asked, steps=3)
    assert not any(lowered for _rows, lowered in SHOWN)
