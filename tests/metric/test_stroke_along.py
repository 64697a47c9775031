"""Strips of drawn bars whose width is known, towards either class."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.core.strip import Scale, Strip
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.metric.stroke_along import StrokeGrowth, StrokeTrend, stroke_trends
from tests.metric.test_stroke import bar

REQUESTED = torch.tensor([0.1, 0.4, 0.6, 0.9])


def strip_of(widths: list[int]) -> torch.Tensor:
    """Bars (S, 1, 28, 28); 0: no ink."""
    return torch.cat([bar(wide) if wide else torch.zeros(1, 1, 28, 28) for wide in widths])


def bars(make, rows: list[list[int]], target: list[int], classes: int = 2) -> Counterfactuals:
    n = len(rows)
    images = torch.stack([strip_of(row) for row in rows])
    logits = torch.zeros(n, classes)
    strip = Strip(images, REQUESTED.expand(n, -1).clone(), torch.zeros(n, 4, classes))
    return replace(
        make(n), factual=images[:, 0], counterfactual=images[:, -1], target=torch.tensor(target),
        factual_logits=logits, counterfactual_logits=logits, strip=strip,
    )  # fmt: skip


def test_strips_of_both_directions_tell_the_same(make) -> None:
    """A bar grows by 2, 2 and 4 pixels towards class 1, and shrinks as much on the way back."""
    cf = bars(make, [[4, 6, 8, 12], [12, 8, 6, 4]], [1, 0])
    trend, growth = StrokeTrend("width", 1), StrokeGrowth("width", 1)
    assert trend.score(cf).tolist() == [1, 1]
    assert growth.score(cf).tolist() == pytest.approx([8, 8], abs=0.1)
    assert StrokeTrend("width", 0).score(cf).tolist() == [-1, -1]
    assert StrokeGrowth("width", 0).score(cf).tolist() == pytest.approx([-8, -8], abs=0.1)


def test_a_strip_without_order_or_change_has_no_trend(make) -> None:
    cf = bars(make, [[6, 6, 6, 6], [6, 12, 12, 6], [4, 8, 6, 12]], [1, 1, 1])
    trends = StrokeTrend("width", 1).score(cf).tolist()
    assert trends[0] == 0
    assert trends[1] == pytest.approx(0, abs=1e-6)
    assert trends[2] == pytest.approx(0.8)


def test_without_ink_or_requests_nothing_is_defined(make) -> None:
    cf = bars(make, [[4, 0, 8, 12], [4, 6, 8, 0]], [1, 1])
    assert StrokeTrend("width", 1).score(cf).isnan().all()
    growth = StrokeGrowth("width", 1).score(cf)
    assert float(growth[0]) == pytest.approx(8, abs=0.1), "both ends have ink"
    assert math.isnan(float(growth[1]))
    waiting = replace(cf, strip=replace(cf.strip, requested=torch.full((2, 4), torch.nan)))
    for found in (waiting, replace(cf, strip=replace(cf.strip, requested=None)), replace(cf, strip=None)):
        assert StrokeTrend("width", 1).score(found).isnan().all()
        assert StrokeGrowth("width", 1).score(found).isnan().all()


def test_among_many_classes_the_class_must_be_at_an_end(make) -> None:
    cf = bars(make, [[4, 6, 8, 12], [12, 8, 6, 4], [4, 6, 8, 12]], [8, 3, 5], classes=10)
    assert cf.strip is not None
    ends = Scale(torch.tensor([8, 8, 5]), torch.tensor([3, 3, 1]), torch.ones(3), torch.zeros(3, 3))
    cf = replace(cf, strip=replace(cf.strip, scale=ends))
    assert StrokeTrend("width", 8).score(cf).tolist()[:2] == [1, 1]
    assert math.isnan(float(StrokeTrend("width", 8).score(cf)[2]))


def test_figures_with_intervals_by_name(make) -> None:
    made = stroke_trends(SimpleNamespace(class_names=("0", "1")), 1, ["width", "slant"])
    assert list(made) == ["width_trend", "width_growth", "slant_trend", "slant_growth"]
    rows = [[4, 6, 8, 12], [4, 8, 6, 12], [6, 8, 10, 12], [12, 8, 6, 4]]
    summary = evaluate_metrics(made, bars(make, rows, [1] * 4)).summary
    trend = summary["width_trend"]
    assert trend.value == pytest.approx((1 + 0.8 + 1 - 1) / 4)
    assert trend.low is not None
    assert trend.high is not None
    assert -1 <= trend.low < trend.value < trend.high <= 1
    assert summary["width_growth"].unit == "px"
    assert summary["slant_growth"].unit == ""
    assert stroke_trends(SimpleNamespace(class_names=("0", "1")), None)["width_trend"].towards == 1


def test_what_is_refused(make) -> None:
    data = SimpleNamespace(class_names=("0", "1"))
    with pytest.raises(UserError, match=r"towards=7 is no class; name one of 0, 1"):
        stroke_trends(data, "7")
    with pytest.raises(UserError, match=r"strokes=colour is not supported; choose among: thickness"):
        stroke_trends(data, "1", ["colour"])
    cf = bars(make, [[4, 6, 8, 12]], [1])
    assert cf.strip is not None
    coloured = replace(cf, strip=replace(cf.strip, images=cf.strip.images.expand(-1, -1, 3, -1, -1)))
    with pytest.raises(UserError, match="measures digits of one channel, found 3"):
        StrokeTrend("width", 1).score(coloured)
