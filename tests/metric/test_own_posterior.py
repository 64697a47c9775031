"""Requests against the classifier's own posterior, by hand and by scipy; calibrated requests translated."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import pearsonr
from torch import Tensor

from counterfoil.classifier.base import Classifier
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.metric.own_posterior import OwnBin, OwnMSE, OwnPearson, own_posteriors
from tests.metric.test_compatibility import flat


def made() -> dict[str, OwnPearson | OwnMSE | OwnBin]:
    return {"r": OwnPearson(), "mse": OwnMSE(), "bin": OwnBin()}


def cooled(strips: Counterfactuals, temperature: float) -> Counterfactuals:
    """The same strips with requests calibrated by a temperature."""
    strip = strips.strip
    assert strip is not None
    assert strip.scale is not None
    scale = strip.scale._replace(temperature=torch.full((len(strips),), temperature))
    requested = (torch.logit(strip.requested) / temperature).sigmoid()
    return replace(strips, strip=replace(strip, requested=requested, scale=scale))


@pytest.fixture
def q() -> Tensor:
    return torch.rand(6, 4, generator=torch.Generator().manual_seed(3)) * 0.9 + 0.05


def test_figures_by_hand_and_by_scipy(classifier: Classifier, strips: Counterfactuals, q: Tensor) -> None:
    rows, metrics = strips.walked, made()
    assert bool(rows.any())
    summary, table, _ = evaluate_metrics(metrics, flat(classifier, strips, torch.logit(q)))
    requested, obtained = strips.strip.requested[rows].float(), q[rows]
    expected = {
        "r": pearsonr(requested.flatten(), obtained.flatten()).statistic,
        "mse": float((requested - obtained).square().mean()),
        "bin": float(((obtained * 4).long() == (requested * 4).long()).float().mean()),
    }
    assert {name: summary[name].value for name in metrics} == pytest.approx(expected, abs=1e-5)
    assert torch.equal(table["mse"].isnan(), ~rows)
    assert summary["r"].n == int(rows.sum())


def test_requests_under_a_temperature_are_read_on_the_classifiers_own_scale(
    classifier: Classifier, strips: Counterfactuals, q: Tensor
) -> None:
    plain = flat(classifier, strips, torch.logit(q))
    figures = [
        {name: entry.value for name, entry in evaluate_metrics(made(), cf)[0].items()}
        for cf in (plain, cooled(plain, 5.0))
    ]
    assert figures[1] == pytest.approx(figures[0], abs=1e-5)
    calibrated = cooled(plain, 5.0).posteriors
    own = own_posteriors(plain)
    assert own is not None
    walked = strips.walked
    assert float((calibrated.obtained - own.obtained)[walked].abs().max()) > 0.1


def test_repeated_rows_count_twice(classifier: Classifier, strips: Counterfactuals, q: Tensor) -> None:
    metric = OwnPearson()
    metric.update(flat(classifier, strips, torch.logit(q)))
    rows = metric.usable.nonzero()[:, 0]
    part = metric.features[rows[[0, 0, 1]]]
    assert metric.statistic(rows[[0, 0, 1]]) == pytest.approx(
        pearsonr(part[:, :4].flatten(), part[:, 4:].flatten()).statistic, abs=1e-9
    )


def test_methods_without_requests_have_no_value(strips: Counterfactuals) -> None:
    summary, _table, _ = evaluate_metrics(made(), replace(strips, strip=None))
    assert all(entry.value is None for entry in summary.values())
