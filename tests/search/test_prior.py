"""Priors: B networks at once are B networks; every weight matters; the pre-image is what it says."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.query import Query
from counterfoil.search import DIP, INR, L1, CrossEntropy, Objective, Prior, Search, memory
from counterfoil.search.prior import decibels

PRIORS: dict[str, Callable[..., Prior]] = {
    "inr": lambda **options: INR(frequencies=8, width=8, depth=2, **options),
    "siren": lambda **options: INR(width=8, depth=2, siren=True, **options),
    "dip": lambda **options: DIP(channels=(4, 6), noise=3, **options),
}
each_prior = pytest.mark.parametrize("kind", list(PRIORS))


def ask(classifier: nn.Module, rows: int = 3, channels: int = 1, size: int = 16) -> Query:
    coarse = torch.rand(rows, channels, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Query(F.interpolate(coarse, (size, size), mode="bilinear"), torch.arange(rows) % 3, classifier)


@pytest.fixture
def query(tiny_classifier: nn.Module) -> Query:
    return ask(tiny_classifier)


@each_prior
def test_a_row_is_fitted_and_rendered_as_if_alone(kind: str, query: Query) -> None:
    prior = PRIORS[kind](steps=25, psnr=18.0)
    together = prior.start(query)
    image = prior.decode(query, together)
    assert image.shape == query.factual.shape
    for i in range(len(query)):
        one = query[torch.tensor([i])]
        one.__dict__.pop("remembered")
        alone = prior.start(one)
        for name, value in alone.items():
            torch.testing.assert_close(value[0], together[name][i], rtol=0, atol=1e-8)
        torch.testing.assert_close(prior.decode(one, alone)[0], image[i], rtol=0, atol=1e-9)


@each_prior
def test_a_network_of_the_stack_leaves_the_others_alone(kind: str, query: Query) -> None:
    prior = PRIORS[kind]()
    weights = {name: value.requires_grad_() for name, value in prior.draw(query).items()}
    prior.decode(query, weights)[1].square().sum().backward()
    for name, value in weights.items():
        assert value.grad is not None, name
        assert value.grad[1].abs().amax() > 0, f"no gradient reaches {name}"
        assert value.grad[[0, 2]].abs().amax() == 0, f"{name} of another query is moved"


@each_prior
def test_blocks_hold_every_weight_once_and_the_search_starts_in_their_order(kind: str, query: Query) -> None:
    prior = PRIORS[kind](steps=1, psnr=0.0)
    names = [name for block in prior.blocks for name in block]
    assert sorted(names) == sorted(prior.weights((1, 16, 16)))
    assert list(prior.start(query)) == [*names, "psnr", "fit_steps"]


def test_blocks_run_from_the_output_inwards() -> None:
    assert INR(depth=2).blocks == (("w2", "b2"), ("w1", "b1"), ("w0", "b0"))
    assert [block[0] for block in DIP(channels=(4, 8)).blocks] == ["out_w", "up0_w", "up1_w"]


@each_prior
def test_colour_odd_sizes_and_single_precision(kind: str, tiny_classifier: nn.Module) -> None:
    query = ask(tiny_classifier, channels=3, size=29)
    query = Query(query.factual.float()[..., :21], query.target, tiny_classifier)
    prior = PRIORS[kind]()
    image = prior.decode(query, prior.draw(query))
    assert image.shape == (3, 3, 29, 21)
    assert image.dtype == torch.float32
    assert 0 <= float(image.min()) <= float(image.max()) <= 1


def test_an_inr_by_hand() -> None:
    """One network written out as a plain multi-layer perceptron on the features of each pixel."""
    prior = INR(frequencies=5, width=4, depth=2, scale=2.0)
    shape = (1, 6, 7)
    weights = {
        name: torch.randn(2, *size, dtype=torch.float64) for name, (size, _) in prior.weights(shape).items()
    }
    points = prior._points(shape, weights["w0"]).T
    hidden = (points @ weights["w0"][1].T + weights["b0"][1].T).relu()
    hidden = (hidden @ weights["w1"][1].T + weights["b1"][1].T).relu()
    expected = (hidden @ weights["w2"][1].T + weights["b2"][1].T).sigmoid().view(6, 7)
    torch.testing.assert_close(prior.render(weights, shape)[1, 0], expected)
    torch.testing.assert_close(
        points[:, :5].square() + points[:, 5:].square(), torch.ones(42, 5, dtype=torch.float64)
    )


def test_a_dip_by_hand() -> None:
    """The second of two networks, a plain convolution at a time."""
    prior = DIP(channels=(3,), skip=2, noise=2)
    shape = (1, 8, 8)
    weights = {
        name: torch.randn(2, *size, dtype=torch.float64) for name, (size, _) in prior.weights(shape).items()
    }
    w = {name: value[1] for name, value in weights.items()}

    def block(x: Tensor, name: str, stride: int = 1) -> Tensor:
        y = F.conv2d(x, w[f"{name}_w"], stride=stride, padding=w[f"{name}_w"].shape[-1] // 2)
        return F.leaky_relu(F.instance_norm(y) + w[f"{name}_b"][:, None, None], 0.2)

    from counterfoil.search.dip import _noise

    n = _noise(2, 8, 8, torch.float64, torch.device("cpu"))[None]
    up = F.interpolate(block(n, "down0", 2), size=(8, 8), mode="bilinear")
    expected = F.conv2d(block(torch.cat([up, block(n, "skip0")], 1), "up0"), w["out_w"], w["out_b"]).sigmoid()
    torch.testing.assert_close(prior.render(weights, shape)[1:], expected)


def test_decibels() -> None:
    assert decibels(torch.tensor([1.0, 1e-3, 0.0])).tolist() == pytest.approx([0.0, 30.0, 120.0], abs=1e-4)


@pytest.mark.filterwarnings("error::counterfoil.core.errors.CounterfoilWarning")
def test_each_fit_ends_at_its_own_psnr_and_reports_what_it_reached(query: Query) -> None:
    prior = PRIORS["inr"](steps=400, psnr=20.0)
    found = prior.start(query)
    error = (prior.decode(query, found) - query.factual).square().flatten(1).mean(1)
    torch.testing.assert_close(found["psnr"], decibels(error))
    assert (found["psnr"] >= 20).all()
    assert found["psnr"].max() < 23, "went on after it was reached"


def test_queries_below_the_psnr_are_counted(query: Query) -> None:
    with pytest.warns(CounterfoilWarning, match="3 of 3 queries with less than 40 dB"):
        found = PRIORS["inr"](steps=2, psnr=40.0).start(query)
    assert (found["psnr"] < 40).all()


def test_the_pre_image_is_fitted_once_for_all_rounds(query: Query) -> None:
    prior = PRIORS["inr"](steps=3, psnr=0.0)
    prior.prepare(query)
    prior.fit = lambda *_args: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    part = prior.start(query[torch.tensor([2])])
    assert torch.equal(part["w0"][0], prior.start(query)["w0"][2])


def test_further_counterfactuals_start_from_other_draws(tiny_classifier: nn.Module) -> None:
    x = ask(tiny_classifier, rows=1).factual.repeat(2, 1, 1, 1)
    drawn = PRIORS["inr"]().draw(Query(x, torch.zeros(2).long(), tiny_classifier, repeat=torch.arange(2)))
    assert not torch.equal(drawn["w0"][0], drawn["w0"][1])


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: DIP(channels=()), "channels"),
        (lambda: DIP(channels=(4, 0)), "channels"),
        (lambda: INR(width=0), "width"),
        (lambda: INR(steps=-1), "steps"),
        (lambda: DIP(lr=0.0), "lr"),
    ],
)
def test_bad_options(make: Callable[[], Prior], word: str) -> None:
    with pytest.raises(UserError, match=word):
        make()


def test_images_too_small_for_the_halvings(tiny_classifier: nn.Module) -> None:
    assert DIP(channels=(4, 4)).draw(ask(tiny_classifier, size=16))
    with pytest.raises(UserError, match="16 x 16 pixels are too small for 3 halvings, which need 32"):
        DIP(channels=(4, 4, 4)).draw(ask(tiny_classifier, size=16))


@each_prior
def test_queries_that_do_not_fit_are_explained_in_parts(
    kind: str, query: Query, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prior = PRIORS[kind](steps=5, psnr=0.0)
    search = Search(6, torch.optim.Adam)
    objective = Objective(CrossEntropy(), L1())
    whole = search(query, prior, objective)
    assert prior.capacity(query) == 3
    each = memory.bytes_of_a_row(query[torch.tensor([0])], prior.draw, prior.decode)
    weights = sum(math.prod(size) for size, _ in prior.weights((1, 16, 16)).values())
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
            ask(tiny_classifier, rows=1, size=size).factual,
            torch.zeros(1).long(),
            nn.Sequential(nn.AdaptiveAvgPool2d(16), tiny_classifier),
        )
        prior = PRIORS["inr"]()
        return memory.bytes_of_a_row(query, prior.draw, prior.decode)

    assert need(64) > 3 * need(16)


def test_where_the_system_does_not_say_what_is_free_all_are_tried(
    query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (memory.free_memory(torch.device("cpu")) or 2**20) >= 2**20
    monkeypatch.setattr(memory, "free_memory", lambda _device: None)
    assert PRIORS["inr"]().capacity(query) == 3
