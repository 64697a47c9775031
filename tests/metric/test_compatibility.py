"""The request along a strip, and what the classifier makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from counterfoil.classifier.base import Classifier
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.generative.exaggeration.network import Exaggerator
from counterfoil.metric import compatibility
from counterfoil.metric.closeness import LatentCloseness
from counterfoil.metric.evaluation import evaluate_metrics


def flat(classifier: Classifier, cf: Counterfactuals, s: Tensor) -> Counterfactuals:
    """The same counterfactuals with flat images whose log-odds towards the target are s (B, S)."""
    sign = torch.where(cf.target == 1, 1.0, -1.0)[:, None]
    images = (0.5 + sign * s / 8)[:, :, None, None, None].expand(-1, -1, 1, 8, 8).clone()
    assert cf.strip is not None
    images[~cf.walked] = cf.strip.images[~cf.walked]
    return replace(cf, strip=replace(cf.strip, images=images).graded(classifier))


def test_a_perfect_strip_scores_perfectly(
    classifier: Classifier, generator: Exaggerator, strips: Counterfactuals
) -> None:
    cf = flat(classifier, strips, torch.logit(torch.tensor([0.125, 0.375, 0.625, 0.875])).expand(6, -1))
    made = {
        name: getattr(compatibility, f"Compatibility{name}")() for name in ("Rho", "MAE", "MSE", "Inside")
    }
    summary, table, _ = evaluate_metrics(made, cf)
    assert [round(summary[name].value or 0, 5) for name in made] == [1, 0, 0, 1]
    waiting = ~strips.walked
    assert waiting.any()
    assert torch.equal(table["MAE"].isnan(), waiting)
    assert summary["Rho"].n == summary["MAE"].n == int((~waiting).sum())


def test_figures_by_hand_and_by_scipy(
    classifier: Classifier, generator: Exaggerator, strips: Counterfactuals
) -> None:
    q = torch.rand(6, 4, generator=torch.Generator().manual_seed(3)) * 0.9 + 0.05
    cf = flat(classifier, strips, torch.logit(q))
    rows = strips.walked
    requested, obtained = strips.strip.requested[rows].float(), q[rows]
    kinds = {"rho": "Rho", "mae": "MAE", "mse": "MSE", "inside": "Inside"}
    made: dict[str, Any] = {
        key: getattr(compatibility, f"Compatibility{name}")() for key, name in kinds.items()
    }
    for metric in made.values():
        metric.update(cf)
    assert float(made["rho"].compute()) == pytest.approx(
        spearmanr(requested.flatten(), obtained.flatten()).statistic, abs=1e-6
    )
    assert float(made["mae"].compute()) == pytest.approx(float((requested - obtained).abs().mean()), abs=1e-5)
    assert float(made["mse"].compute()) == pytest.approx(
        float((requested - obtained).square().mean()), abs=1e-5
    )
    assert float(made["inside"].compute()) == pytest.approx(
        float(((obtained * 4).long() == torch.arange(4)).float().mean()), abs=1e-6
    )


def test_posteriors_are_the_calibrated_ones(
    classifier: Classifier, generator: Exaggerator, strips: Counterfactuals
) -> None:
    scale = strips.strip.scale._replace(temperature=torch.full((6,), 2.0))
    cf = flat(classifier, replace(strips, strip=replace(strips.strip, scale=scale)), torch.full((6, 4), 1.0))
    read = cf.posteriors
    walked = strips.walked
    assert walked.any()
    expected = torch.full((int(walked.sum()), 4), float(torch.tensor(0.5).sigmoid()))
    torch.testing.assert_close(read.obtained[walked], expected)


def test_repeated_rows_count_twice(
    classifier: Classifier, generator: Exaggerator, strips: Counterfactuals
) -> None:
    metric = compatibility.CompatibilityRho()
    metric.update(strips)
    rows = metric.usable.nonzero()[:, 0]
    part = metric.features[rows[[0, 0, 1]]]
    assert metric.statistic(rows[[0, 0, 1]]) == pytest.approx(
        spearmanr(part[:, :4].flatten(), part[:, 4:].flatten()).statistic, abs=1e-9
    )


def test_other_methods_have_no_value(
    classifier: Classifier, generator: Exaggerator, strips: Counterfactuals
) -> None:
    plain = replace(strips, strip=None)
    made = {
        "rho": compatibility.CompatibilityRho(),
        "mae": compatibility.CompatibilityMAE(),
        "extreme": compatibility.ExtremeValidity(),
        "lsc": LatentCloseness(generator),
    }
    summary, _table, _ = evaluate_metrics(made, plain)
    assert all(entry.value is None for entry in summary.values())


def test_extreme_validity_is_that_of_the_last_image(classifier: Classifier, strips: Counterfactuals) -> None:
    s = torch.full((6, 4), -1.0)
    s[:4, -1] = 1.0
    metric = compatibility.ExtremeValidity()
    metric.update(flat(classifier, strips, s))
    expected = torch.tensor([1.0, 1, 1, 1, 0, 0]).masked_fill(~strips.walked, torch.nan)
    torch.testing.assert_close(metric.values, expected, equal_nan=True)


def test_the_curve_groups_by_the_factuals_bin(
    classifier: Classifier, generator: Exaggerator, strips: Counterfactuals
) -> None:
    read = strips.posteriors
    assert read is not None
    x, series = compatibility.curve(read, groups=2)
    assert len(x) == 4
    usable = read.requested.isfinite().all(1)
    low = usable & (read.source < 2)
    assert series["from bins 0-1"][2].value == pytest.approx(float(read.obtained[low, 2].mean()), abs=1e-6)
