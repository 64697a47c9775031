"""Priors: B networks at once are B networks; every weight matters; the pre-image is what it says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.query import Query
from counterfoil.generative.prior.base import decibels
from counterfoil.generative.prior.dip import DIP
from counterfoil.generative.prior.inr import INR
from counterfoil.search import PriorWeights

PRIORS: dict[str, Callable[..., PriorWeights]] = {
    "inr": lambda **options: PriorWeights(INR(frequencies=8, width=8, depth=2, **options)),
    "siren": lambda **options: PriorWeights(INR(width=8, depth=2, siren=True, **options)),
    "dip": lambda **options: PriorWeights(DIP(channels=(4, 6), noise=3, **options)),
}
each_prior = pytest.mark.parametrize("kind", list(PRIORS))


def query_of(classifier: nn.Module, rows: int = 3, channels: int = 1, size: int = 16) -> Query:
    coarse = torch.rand(rows, channels, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Query(F.interpolate(coarse, (size, size), mode="bilinear"), torch.arange(rows) % 3, classifier)


@pytest.fixture
def query(tiny_classifier: nn.Module) -> Query:
    return query_of(tiny_classifier)


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
    assert sorted(names) == sorted(prior.prior.weights((1, 16, 16)))
    assert list(prior.start(query)) == [*names, "psnr", "fit_steps"]


@each_prior
def test_colour_odd_sizes_and_single_precision(kind: str, tiny_classifier: nn.Module) -> None:
    query = query_of(tiny_classifier, channels=3, size=29)
    query = Query(query.factual.float()[..., :21], query.target, tiny_classifier)
    prior = PRIORS[kind]()
    image = prior.decode(query, prior.draw(query))
    assert image.shape == (3, 3, 29, 21)
    assert image.dtype == torch.float32
    assert 0 <= float(image.min()) <= float(image.max()) <= 1


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
    prior.prior.fit = lambda *_args: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    part = prior.start(query[torch.tensor([2])])
    assert torch.equal(part["w0"][0], prior.start(query)["w0"][2])


def test_further_counterfactuals_start_from_other_draws(tiny_classifier: nn.Module) -> None:
    x = query_of(tiny_classifier, rows=1).factual.repeat(2, 1, 1, 1)
    drawn = PRIORS["inr"]().draw(Query(x, torch.zeros(2).long(), tiny_classifier, repeat=torch.arange(2)))
    assert not torch.equal(drawn["w0"][0], drawn["w0"][1])


def test_names_of_priors(tiny_classifier: nn.Module) -> None:
    assert isinstance(PriorWeights().prior, INR)
    assert isinstance(PriorWeights("dip").prior, DIP)
    assert PriorWeights(INR(spread=0.5)).spread == 0.5
    with pytest.raises(UserError, match="prior=vae is not supported; choose one of: inr, dip"):
        PriorWeights("vae")
    with pytest.raises(UserError, match="16 x 16 pixels are too small for 3 halvings, which need 32"):
        PriorWeights(DIP(channels=(4, 4, 4))).draw(query_of(tiny_classifier, size=16))
