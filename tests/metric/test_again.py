"""Metrics of second explanations, on numbers known by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.metric.again import Composition, Returned, Reversibility, Stability
from counterfoil.metric.evaluation import evaluate_metrics
from tests.metric.conftest import Mean


@pytest.fixture
def cf(make):
    """Four rows to class 1 of dark images: valid, valid, not valid, valid but failed; the last is dark."""
    factual, counterfactual = torch.full((4, 2, 4, 5), 0.4), torch.full((4, 2, 4, 5), 0.6)
    counterfactual[2:] = 0.45
    counterfactual[3] = 0.6
    back = torch.full_like(factual, 0.3)
    back[1] = 0.55
    return replace(
        make(4),
        factual=factual,
        counterfactual=counterfactual,
        target=torch.ones(4, dtype=torch.int64),
        factual_logits=Mean()(factual),
        counterfactual_logits=Mean()(counterfactual),
        extra={"back": back, "noise": counterfactual + 0.02, "own": factual - 0.05},
        failed=torch.tensor([False, False, False, True]),
    )


def test_the_way_back_is_defined_where_there_was_a_way_there(cf):
    assert Reversibility().score(cf).tolist() == pytest.approx([0.1, 0.15] + [torch.nan] * 2, nan_ok=True)
    returned = Returned(Mean()).score(cf)
    assert returned.tolist() == pytest.approx([1.0, 0.0, torch.nan, torch.nan], nan_ok=True)
    same = replace(cf, target=cf.source, counterfactual_logits=cf.factual_logits)
    assert Reversibility().score(same).isnan().all(), "no class was left"


def test_all_rows_that_did_not_fail_are_held_against_noise_and_no_change(cf):
    metrics = {"stability": Stability(), "composition": Composition(), "returned": Returned(Mean())}
    found = evaluate_metrics(metrics, cf).summary
    assert (found["stability"].value, found["stability"].n) == (pytest.approx(0.02), 3)
    assert found["stability_valid"].n == 2
    assert (found["composition"].value, found["composition"].n) == (pytest.approx(0.05), 3)
    assert (found["returned"].value, found["returned"].n) == (0.5, 2)


def test_rows_that_were_not_explained_again_are_not_defined(cf):
    gap = {name: image.clone() for name, image in cf.extra.items()}
    for image in gap.values():
        image[0] = torch.nan
    for metric in (Reversibility(), Returned(Mean()), Stability(), Composition()):
        assert metric.score(replace(cf, extra=gap))[0].isnan()
        assert metric.score(cf)[0].isfinite()


def test_a_pass_that_was_not_made_is_named(cf):
    for metric in (Reversibility(), Returned(Mean()), Stability(), Composition()):
        with pytest.raises(UserError, match=rf"set again=\[{metric.explained_again}\]"):
            metric.score(replace(cf, extra={}))
