"""Split FID against scipy's matrix square root, half by half."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.metric.realism import JudgeFID, ValidFID
from counterfoil.metric.split import SplitFID
from tests.metric.test_realism import features, frechet


def test_no_counterfactual_meets_its_own_factual(parts, make):
    metric, cf = SplitFID(parts.judge), make(40)
    cf = replace(cf, query=torch.arange(40).div(2, rounding_mode="floor"))
    metric.update(cf)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    a = (order < 10)[cf.query].numpy()
    found, own = features(parts, cf.counterfactual), features(parts, cf.factual)
    expected = (frechet(found[a], own[~a]) + frechet(found[~a], own[a])) / 2
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-6)


def test_leaving_the_input_wins_nothing(parts, make):
    metric, cf = SplitFID(parts.judge), make(40)
    metric.update(replace(cf, counterfactual=cf.factual))
    a = (torch.randperm(40, generator=torch.Generator().manual_seed(0)) < 20).numpy()
    own = features(parts, cf.factual)
    assert float(metric.compute()) == pytest.approx(frechet(own[a], own[~a]), rel=1e-6)
    assert float(metric.compute()) > 0.01


def test_few_rows_are_doubted_and_nothing_is_not_defined(parts, make):
    metric = SplitFID(parts.judge)
    assert evaluate_metrics({"split_fid": metric}, make(2)).summary["split_fid"].doubt
    assert not evaluate_metrics({"split_fid": metric}, make(40)).summary["split_fid"].doubt
    assert evaluate_metrics({"split_fid": metric}, make(1)).summary["split_fid"].value is None


def test_fid_of_the_valid_alone(parts, make):
    cf = make(40)
    valid = cf.valid
    assert 2 < int(valid.sum()) < 40
    only, whole = ValidFID(parts.judge, parts.reference), JudgeFID(parts.judge, parts.reference)
    only.update(cf)
    whole.update(cf[valid])
    assert float(only.compute()) == pytest.approx(float(whole.compute()), rel=1e-6)
    assert int(only.usable.sum()) == int(valid.sum())
