"""The one loop: it leaves out what is finished without changing what is not, and keeps the nearest
counterfactual.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils._python_dispatch import TorchDispatchMode

from counterfoil.core.counterfactuals import Found
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search import (
    END,
    L1,
    CrossEntropy,
    Diversity,
    Latent,
    Margin,
    Moment,
    Objective,
    Pixels,
    Search,
    Stop,
    Tradeoff,
    Variables,
)


@pytest.fixture
def query(tiny_classifier: nn.Module, toy: Any) -> Query:
    x = toy.test[range(10)].x.double()
    logits = tiny_classifier(x)
    return Query(x, logits.topk(2).indices[:, 1], tiny_classifier.requires_grad_(False), confidence=0.9)


def search(query: Query, **options: Any) -> Found:
    return Search(**{"steps": 40, "optimizer": partial(Adam, lr=0.02), **options})(
        query, Pixels(), Objective(CrossEntropy(), L1(20.0))
    )


@pytest.mark.parametrize("bisect", [False, True])
def test_leaving_out_finished_queries_changes_nothing(query: Query, bisect: bool) -> None:
    options = {"stop": Stop(3), "tradeoff": Tradeoff(rounds=3, bisect=bisect)}
    at_once, never = (search(query, crowd=crowd, **options) for crowd in (0.0, 1.0))
    torch.testing.assert_close(at_once.counterfactual, never.counterfactual, rtol=0, atol=1e-9)
    assert torch.equal(at_once.steps, never.steps)
    assert torch.equal(at_once.classifier_calls, never.classifier_calls)
    assert len(at_once.steps.unique()) > 2, "all queries finished together: this test would say nothing"


def test_finished_queries_are_really_left_out(query: Query) -> None:
    shown: list[int] = []
    handle = query.classifier.register_forward_hook(
        lambda _module, inputs, _output: shown.append(len(inputs[0]))
    )
    found = search(query, crowd=0.0, stop=Stop(0))
    handle.remove()
    assert sum(shown) == int(found.classifier_calls.sum())
    assert shown[-1] < shown[0]


class InParts(Latent):
    """Its code is the image itself; one query fits at a time."""

    def capacity(self, query: Query) -> int:
        return 1


class Same(nn.Module):
    """Encodes and decodes an image as it is; NaN where it begins bright."""

    def encode(self, x: Tensor, condition: Any) -> Tensor:
        return x

    def decode(self, z: Tensor, condition: Any) -> Tensor:
        return torch.where(z[:, :, :1, :1] > 0.5, torch.nan, z)


@pytest.mark.parametrize("bright", [0, 1])
def test_a_part_without_a_finite_point_stands_beside_the_others(query: Query, bright: int) -> None:
    x = query.factual[:2].clone()
    x[:, :, 0, 0] = 0.0
    x[bright, :, 0, 0] = 1.0
    asked = Query(x, query.target[:2], query.classifier, generator=Same())
    found = Search(3, partial(Adam, lr=0.02))(asked, InParts(), Objective(CrossEntropy(), L1(20.0)))
    assert found.finite.tolist() == [bright == 1, bright == 0]
    assert found.extra["z"].shape == x.shape


def test_patience_keeps_the_nearest_counterfactual_of_the_path(query: Query) -> None:
    """A counterfactual may only come nearer with more patience, and every one reaches the confidence."""
    distances = []
    for patience in (0, 5, None):
        found = search(query, stop=Stop(patience), steps=60)
        assert query.reached(query.classifier(found.counterfactual)).all()
        distances.append((found.counterfactual - query.factual).abs().flatten(1).mean(1))
    assert (distances[1] <= distances[0] + 1e-12).all()
    assert (distances[2] <= distances[1] + 1e-12).all()
    assert (distances[2] < distances[0]).any()


def test_steps_are_those_of_the_first_counterfactual(query: Query) -> None:
    """With patience 0 and one row: the step count is where a plain loop first reaches the confidence."""
    row = query[torch.tensor([0])]
    x = row.factual.clone().requires_grad_()
    optimizer, taken = Adam([x], lr=0.02), 0
    while not bool(row.reached(row.classifier(x))):
        optimizer.zero_grad()
        loss = (
            nn.functional.cross_entropy(row.classifier(x), row.target) + 20 * (x - row.factual).abs().mean()
        )
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 1)
        taken += 1
    found = search(row, stop=Stop(0))
    assert found.steps.tolist() == [taken]
    assert found.classifier_calls.tolist() == [taken + 1]
    torch.testing.assert_close(found.counterfactual, x.detach())


def test_without_a_counterfactual_the_likeliest_point_is_kept(query: Query) -> None:
    """A hopeless confidence: what comes back is no less probable than the factual."""
    hopeless = Query(query.factual, query.target, query.classifier, confidence=1.0)
    found = search(hopeless, steps=5)
    before, after = (
        query.classifier(x).softmax(1).gather(1, query.target[:, None])
        for x in (query.factual, found.counterfactual)
    )
    assert (after > before).all()
    assert found.steps.tolist() == [5] * 10


def test_only_failed_queries_get_another_round(query: Query) -> None:
    one, three = (
        search(query, steps=6, optimizer=partial(Adam, lr=0.002), tradeoff=Tradeoff(rounds=rounds))
        for rounds in (1, 3)
    )
    solved = query.reached(query.classifier(one.counterfactual))
    assert solved.any()
    assert not solved.all()
    assert torch.equal(three.steps[solved], one.steps[solved])
    assert (three.steps[~solved] > one.steps[~solved]).all()


def test_no_steps_leave_the_query(query: Query) -> None:
    found = search(query, steps=0)
    assert found.steps.tolist() == [0] * 10
    assert found.classifier_calls.tolist() == [1] * 10


def test_the_last_point_is_kept_whatever_it_reaches(query: Query) -> None:
    """By hand: the same steps of the same optimiser, with nothing stopped and nothing picked."""
    x = query.factual.clone().requires_grad_()
    optimizer = Adam([x], lr=0.02)
    for _ in range(12):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(query.classifier(x), query.target, reduction="sum")
        (loss + 20 * (x - query.factual).abs().flatten(1).mean(1).sum()).backward()
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    found = search(query, steps=12, last=True, stop=Stop(0), tradeoff=Tradeoff(rounds=3))
    torch.testing.assert_close(found.counterfactual, x.detach())
    assert found.steps.tolist() == [12] * 10


@pytest.mark.parametrize("bisect", [False, True])
@pytest.mark.parametrize("width", [1, 4])
def test_waiting_queries_take_the_places_of_finished_ones(query: Query, width: int, bisect: bool) -> None:
    """Nothing changes for any of them, and no more than `refill` are at work at once."""
    options: dict[str, Any] = {"stop": Stop(3), "tradeoff": Tradeoff(rounds=3, bisect=bisect), "steps": 15}
    whole = search(query, optimizer=partial(Adam, lr=0.004), **options)
    shown: list[int] = []
    handle = query.classifier.register_forward_hook(lambda _m, inputs, _o: shown.append(len(inputs[0])))
    refilled = search(query, optimizer=partial(Adam, lr=0.004), refill=width, crowd=0.0, **options)
    handle.remove()
    torch.testing.assert_close(refilled.counterfactual, whole.counterfactual, rtol=0, atol=1e-9)
    assert torch.equal(refilled.steps, whole.steps)
    assert torch.equal(refilled.classifier_calls, whole.classifier_calls)
    assert max(shown) == width
    assert len(whole.steps.unique()) > 2, "all queries finished together: this test would say nothing"
    assert shown.count(width) > len(shown) / 2, "the batch does not stay full"


def test_batches_of_a_stream_fill_each_other_up(query: Query) -> None:
    parts = [query[torch.arange(start, start + 2)] for start in range(0, 10, 2)]
    options: dict[str, Any] = {"steps": 40, "optimizer": partial(Adam, lr=0.02), "stop": Stop(3)}
    whole = search(query, **options)
    for refill in (None, 3):
        made = Search(**options, refill=refill)
        found = dict(made.stream(iter(parts), Pixels(), Objective(CrossEntropy(), L1(20.0))))
        assert sorted(found) == [0, 1, 2, 3, 4]
        together = torch.cat([found[place].counterfactual for place in range(5)])
        torch.testing.assert_close(together, whole.counterfactual, rtol=0, atol=1e-9)
        assert [found[place].seconds is None for place in range(5)] == [refill is None] * 5


@pytest.mark.parametrize("every", [2, 7, 1000])
def test_looking_less_often_changes_nothing(query: Query, every: int) -> None:
    options: dict[str, Any] = {"stop": Stop(3), "tradeoff": Tradeoff(rounds=2)}
    often, seldom = search(query, every=1, **options), search(query, every=every, **options)
    torch.testing.assert_close(seldom.counterfactual, often.counterfactual, rtol=0, atol=1e-9)
    assert torch.equal(seldom.steps, often.steps)
    assert torch.equal(seldom.classifier_calls, often.classifier_calls)


class Reads(TorchDispatchMode):
    """Counts how often the host asks for a number of a tensor."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("flip", [CrossEntropy(), Margin()])
def test_a_step_asks_for_nothing_but_what_is_better_and_what_is_left(query: Query, flip: Any) -> None:
    counts = []
    for steps in (16, 32):
        made = Search(steps, partial(Adam, lr=0.02), stop=Stop(100), every=8)
        with Reads() as reads:
            made(query, Pixels(), Objective(flip, L1(20.0)))
        counts.append(reads.count)
    assert counts[1] - counts[0] == 16 + 16 // 8  # the first is asked on the CPU alone


def test_an_optimiser_that_cannot_be_refilled_is_refused(query: Query) -> None:
    with pytest.raises(UserError, match=r"refill: Adamax .*refill=null"):
        search(query, optimizer=partial(torch.optim.Adamax, lr=0.02), refill=3)


def test_schedules_go_by_the_steps_of_each_query(query: Query) -> None:
    def run(**options: Any) -> Found:
        objective = Objective(CrossEntropy(lambda progress: 1 + 9 * progress), L1(20.0))
        made = Search(30, partial(Adam, lr=0.005), stop=Stop(2), **options)
        return made(query, Pixels(), objective)

    whole, refilled = run(), run(refill=3, crowd=0.0)
    torch.testing.assert_close(refilled.counterfactual, whole.counterfactual, rtol=0, atol=1e-9)
    assert torch.equal(refilled.steps, whole.steps)


class Emerging(Pixels):
    """The image fades in over the first half of the round, in which no point may be a counterfactual."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[Moment] = []

    def decode(self, query: Query, variables: Variables, moment: Moment = END) -> Tensor:
        self.moments.append(moment)
        share = torch.as_tensor(moment.progress).clamp(max=0.5).mul(2).to(variables["x"]).view(-1, 1, 1, 1)
        return share * variables["x"]

    def gradable(self, query: Query, moment: Moment) -> Tensor:
        late = torch.as_tensor(moment.progress).ge(0.5)
        return late.expand(len(query)) if late.ndim == 0 else late


@pytest.mark.parametrize("options", [{}, {"refill": 3, "crowd": 0.0}, {"precision": "bf16"}])
def test_a_space_is_told_how_far_the_search_is_and_says_what_may_be_graded(
    query: Query, options: dict[str, Any]
) -> None:
    if options.get("precision") == "bf16":
        query = replace(query, factual=query.factual.float(), classifier=query.classifier.float())
    space, objective = Emerging(), Objective(CrossEntropy(), L1(20.0))
    found = Search(20, partial(Adam, lr=0.02), stop=Stop(0), **options)(query, space, objective)
    if "refill" not in options:
        assert {int(moment.step) for moment in space.moments} >= set(range(11))
    assert (found.steps >= 10).all()
    assert query.reached(query.classifier(found.counterfactual)).any()
    at_once = Search(20, partial(Adam, lr=0.02), stop=Stop(0))(query, Pixels(), objective)
    assert (at_once.steps < 10).any(), "every query takes long: this test would say nothing"


@pytest.fixture
def thrice(query: Query) -> Query:
    """Three counterfactuals of each of three queries."""
    rows = torch.arange(3).repeat_interleave(3)
    return replace(query[rows], repeat=torch.arange(3).repeat(3))


def diverse(
    query: Query, weight: float = 5.0, spread: float = 0.1, lr: float = 0.002, **options: Any
) -> Found:
    made = Search(
        12, partial(Adam, lr=lr), stop=Stop(1), tradeoff=Tradeoff(rounds=2), **{"crowd": 0.0, **options}
    )
    return made(query, Pixels(spread), Objective(CrossEntropy(), L1(5.0), diversity=Diversity(weight)))


@pytest.mark.parametrize("options", [{"crowd": 1.0}, {"refill": 1}, {"refill": 4}, {"every": 4}])
def test_siblings_see_each_other_whatever_leaves_the_batch(thrice: Query, options: dict[str, Any]) -> None:
    whole, other = diverse(thrice), diverse(thrice, **options)
    torch.testing.assert_close(other.counterfactual, whole.counterfactual, rtol=0, atol=1e-9)
    assert torch.equal(other.steps, whole.steps)
    assert torch.equal(other.classifier_calls, whole.classifier_calls)
    assert len(whole.steps.unique()) > 2, "all queries finished together: this test would say nothing"


def test_siblings_stay_together_where_few_fit(thrice: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = diverse(thrice)
    monkeypatch.setattr(Pixels, "capacity", lambda _space, _query: 4)
    torch.testing.assert_close(diverse(thrice).counterfactual, whole.counterfactual, rtol=0, atol=1e-9)


def test_a_term_over_siblings_sets_them_apart(thrice: Query) -> None:
    def alike(found: Found) -> float:
        change = (found.counterfactual - thrice.factual).flatten(1).unflatten(0, (3, 3))
        unit = change / change.norm(dim=2, keepdim=True)
        return float((unit @ unit.mT).square().mean())

    apart, plain = (diverse(thrice, weight, 0.02, lr=0.01) for weight in (5.0, 0.0))
    assert alike(apart) < 0.9 * alike(plain)


class ByRow(nn.Module):
    """Two logits by sums over each row alone, which come out bit for bit the same in any batch."""

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.linspace(-1, 1, x[0].numel(), dtype=x.dtype)
        score = (x.flatten(1).tanh() * weight).sum(1)
        return torch.stack([score, -score], dim=1)


def test_refilling_is_exact_where_the_network_is(query: Query) -> None:
    """What the loop and the optimiser add to the independence of a row's arithmetic: nothing."""
    x = query.factual
    asked = Query(x, (ByRow()(x).argmax(1) + 1) % 2, ByRow(), confidence=0.9)
    options: dict[str, Any] = {"stop": Stop(3), "steps": 60, "optimizer": partial(Adam, lr=0.002)}
    whole, refilled = search(asked, **options), search(asked, refill=3, crowd=0.0, **options)
    assert torch.equal(refilled.counterfactual, whole.counterfactual)
    assert len(whole.steps.unique()) > 2, "all queries finished together: this test would say nothing"
