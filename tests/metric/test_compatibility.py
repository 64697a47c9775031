from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.core.strip import Strip
from counterfoil.data.base import Images
from counterfoil.explainer.progressive import Progressive
from counterfoil.generative.exaggeration.network import Exaggerator
from counterfoil.metric import compatibility
from counterfoil.metric.attributes import (
    MNAC,
    AttributeChanged,
    CorrelationDifference,
    OthersChanged,
    correlations,
)
from counterfoil.metric.closeness import LatentCloseness
from counterfoil.metric.consistency import CycleL1, ReconstructionL1
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.metric.identity import AttributeNetCosine, AttributeNetShare
from counterfoil.metric.presence import AbsentFID, OverallFID, PresentFID, Within


class Mean(nn.Module):
    """Logits (0, s), s = 8 * (mean - 1/2)."""

    def forward(self, x: Tensor) -> Tensor:
        s = 8 * (x.mean((1, 2, 3)) - 0.5)
        return torch.stack((torch.zeros_like(s), s), dim=1)


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(Mean())


@pytest.fixture
def generator() -> Exaggerator:
    torch.manual_seed(0)
    return Exaggerator(1, 8, 2, bins=4, width=4).eval()


@pytest.fixture
def strips(classifier: Classifier, generator: Exaggerator) -> Counterfactuals:
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    x[0] = 0.9  # already class 1 with confidence: needs no change
    return Progressive(classifier, generator)(x, torch.tensor([1, 0, 1, 0, 1, 0]))


def flat(cf: Counterfactuals, s: Tensor) -> Counterfactuals:
    """The same counterfactuals with flat images whose log-odds towards the target are s (B, S)."""
    sign = torch.where(cf.target == 1, 1.0, -1.0)[:, None]
    images = (0.5 + sign * s / 8)[:, :, None, None, None].expand(-1, -1, 1, 8, 8).clone()
    assert cf.strip is not None
    images[~cf.walked] = cf.strip.images[~cf.walked]
    return replace(cf, strip=replace(cf.strip, images=images).graded(Classifier(Mean())))


def test_a_perfect_strip_scores_perfectly(
    classifier: Classifier, generator: Exaggerator, strips: Counterfactuals
) -> None:
    cf = flat(strips, torch.logit(torch.tensor([0.125, 0.375, 0.625, 0.875])).expand(6, -1))
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
    cf = flat(strips, torch.logit(q))
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
    cf = flat(replace(strips, strip=replace(strips.strip, scale=scale)), torch.full((6, 4), 1.0))
    read = compatibility.posteriors(cf)
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
    with pytest.raises(UserError, match="explainer=progressive"):
        Within(classifier, None, "m")
    with pytest.raises(UserError, match="explainer=progressive"):
        Within(classifier, nn.Identity(), "m")


def test_extreme_validity_is_that_of_the_last_image(classifier: Classifier, strips: Counterfactuals) -> None:
    s = torch.full((6, 4), -1.0)
    s[:4, -1] = 1.0
    metric = compatibility.ExtremeValidity()
    metric.update(flat(strips, s))
    expected = torch.tensor([1.0, 1, 1, 1, 0, 0]).masked_fill(~strips.walked, torch.nan)
    torch.testing.assert_close(metric.values, expected, equal_nan=True)


def test_the_curve_groups_by_the_factuals_bin(
    classifier: Classifier, generator: Exaggerator, strips: Counterfactuals
) -> None:
    read = compatibility.posteriors(strips)
    x, series = compatibility.curve(read, groups=2)
    assert len(x) == 4
    usable = read.requested.isfinite().all(1)
    low = usable & (read.source < 2)
    assert series["from bins 0-1"][2].value == pytest.approx(float(read.obtained[low, 2].mean()), abs=1e-6)


def test_redrawing_errors_are_those_of_the_generator(generator: Exaggerator, strips: Counterfactuals) -> None:
    slot = torch.zeros(6, dtype=torch.long)
    own = generator.own_cell(strips.factual_logits, slot)
    with torch.no_grad():
        again = generator.decode(generator.encode(strips.factual), own)
        back = generator.decode(generator.encode(strips.counterfactual), own)
    torch.testing.assert_close(
        ReconstructionL1(generator).score(strips), (again - strips.factual).abs().mean((1, 2, 3))
    )
    cycle = CycleL1(generator).score(strips)
    same = (strips.counterfactual == strips.factual).flatten(1).all(1)
    assert torch.equal(cycle.isnan(), same)
    torch.testing.assert_close(cycle[~same], (back - strips.factual).abs().mean((1, 2, 3))[~same])


class Flatten:
    """An encoder whose code is the image."""

    conditioned_encoder = False

    def encode(self, x: Tensor) -> Tensor:
        return x


def test_closeness_by_hand() -> None:
    """Query 0's frames lie beside it; one frame of query 1 lies beside query 0's images."""
    place = torch.tensor([[0.0, 0.1, 0.2], [10.0, 10.1, 0.5]])
    images = place[:, :, None, None, None].expand(-1, -1, 1, 2, 2)
    nothing, zeros = torch.zeros(2, 2), torch.zeros(2)
    cf = Counterfactuals(
        images[:, 0],
        images[:, 1],
        torch.ones(2, dtype=torch.long),
        nothing,
        nothing,
        torch.arange(2),
        zeros,
        zeros,
        zeros,
        zeros,
        strip=Strip(images[:, 1:]),
    )
    metric = LatentCloseness(Flatten(), neighbours=3)
    metric.update(cf)
    assert float(metric.compute()) == pytest.approx(0.75)
    assert metric.statistic(torch.tensor([1, 1])) == pytest.approx(0.5)


class Judge(nn.Module):
    """Three attributes: is the first, second, third pixel bright?"""

    def outputs(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :3] - 0.5

    def embed(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :3]


def attribute_counterfactuals() -> tuple[Counterfactuals, SimpleNamespace]:
    factual = torch.zeros(4, 1, 2, 2)
    counterfactual = factual.clone()
    counterfactual[:, 0, 0, 0] = 1
    counterfactual[:2, 0, 0, 1] = 1
    logits = torch.tensor([[0.0, 1.0]]).expand(4, -1)
    zeros = torch.zeros(4)
    target, query = torch.ones(4, dtype=torch.long), torch.arange(4)
    cf = Counterfactuals(factual, counterfactual, target, -logits, logits, query, zeros, zeros, zeros, zeros)
    truth = torch.tensor([[0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 1]])
    data = SimpleNamespace(
        attribute_names=("a", "b", "c"), attribute="a", name="toy", train=SimpleNamespace(attributes=truth)
    )
    return cf, data


def test_changed_attributes_are_counted() -> None:
    cf, data = attribute_counterfactuals()
    assert MNAC(Judge(), data).score(cf).tolist() == [2, 2, 1, 1]
    assert OthersChanged(Judge(), data).score(cf).tolist() == [1, 1, 0, 0]
    both = SimpleNamespace(**{**vars(data), "attribute": "a+b"})
    assert OthersChanged(Judge(), both).score(cf).tolist() == [0, 0, 0, 0]
    assert AttributeChanged(Judge(), data, "b").score(cf).tolist() == [1, 1, 0, 0]
    assert AttributeChanged(Judge(), data, "c").score(cf).tolist() == [0, 0, 0, 0]
    with pytest.raises(UserError, match="known attributes: a, b, c"):
        AttributeChanged(Judge(), data, "d")
    with pytest.raises(UserError, match="needs data with attributes"):
        MNAC(Judge(), SimpleNamespace(attribute_names=(), name="digits"))


def test_correlations_are_torchs() -> None:
    values = torch.rand(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values[:, 2] = 1
    found = correlations(values, torch.ones(1, 20, dtype=torch.float64), 0)[0]
    assert found[0] == pytest.approx(1)
    assert found[1] == pytest.approx(float(torch.corrcoef(values[:, :2].T)[0, 1]))
    assert found[2] == 0


def test_correlation_difference_by_hand() -> None:
    """Changes of a and b correlate by 1, the truth's a and b by 0; c is independent and never changes."""
    cf, data = attribute_counterfactuals()
    factual, counterfactual = torch.zeros(2, 4, 1, 2, 2)
    factual[2:, 0, 0, 0] = 1
    counterfactual[:2, 0, 0, :2] = 1
    metric = CorrelationDifference(Judge(), data)
    metric.update(replace(cf, factual=factual, counterfactual=counterfactual))
    assert float(metric.compute()) == pytest.approx(1)


def test_identity_is_a_cosine() -> None:
    cf, _data = attribute_counterfactuals()
    cf = replace(cf, factual=cf.counterfactual.flip(0))
    expected = torch.nn.functional.cosine_similarity(
        Judge().embed(cf.factual), Judge().embed(cf.counterfactual)
    )
    torch.testing.assert_close(AttributeNetCosine(Judge()).score(cf), expected)
    assert AttributeNetShare(Judge()).score(cf).tolist() == (expected > 0.5).float().tolist()


class Pixels(nn.Module):
    def embed(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2]


def test_present_and_absent_compare_like_with_like(classifier: Classifier, generator: Exaggerator) -> None:
    draw = torch.Generator().manual_seed(0)
    dark, bright = (torch.rand(60, 1, 8, 8, generator=draw) * 0.2 + level for level in (0.0, 0.8))
    both = torch.cat((dark, bright))
    images = Images((both * 255).round().to(torch.uint8), torch.zeros(120, dtype=torch.long))
    exact = images[slice(0, 120)].x
    zeros = torch.zeros(120)
    logits = classifier(exact)
    cf = Counterfactuals(
        exact.flip(0),
        exact,
        logits.argmax(1),
        logits.flip(0),
        logits,
        torch.arange(120),
        zeros,
        zeros,
        zeros,
        zeros,
    )
    data = SimpleNamespace(test=images)
    for kind, number in ((PresentFID, 60), (AbsentFID, 60), (OverallFID, 120)):
        metric = kind(Pixels(), data, classifier, generator)
        metric.update(cf)
        assert int(metric.usable.sum()) == number
        assert float(metric.compute()) == pytest.approx(0, abs=1e-8)
    invalid = PresentFID(Pixels(), data, classifier, generator)
    invalid.update(replace(cf, target=1 - cf.target))
    assert int(invalid.usable.sum()) == 0


def test_groups_are_those_of_their_bounds(
    classifier: Classifier, generator: Exaggerator, strips: Counterfactuals
) -> None:
    s = torch.logit(torch.tensor([0.05, 0.11, 0.5, 0.89, 0.91, 0.99]))
    logits = torch.stack((torch.zeros(6), s), dim=1)
    cf = replace(strips, counterfactual_logits=logits, target=logits.argmax(1))
    groups = [
        Within(classifier, generator, "m", **bounds)
        for bounds in ({}, *(metric.bounds for metric in (PresentFID, AbsentFID)))
    ]
    assert [group.rows(cf).nonzero()[:, 0].tolist() for group in groups] == [[0, 1, 2, 3, 4, 5], [4, 5], [0]]
    assert not groups[0].rows(replace(cf, target=1 - cf.target)).any(), (
        "a counterfactual that is not valid belongs to no group"
    )
