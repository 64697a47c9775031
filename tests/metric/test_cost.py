"""Costs are read off the counterfactuals."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from counterfoil.metric.cost import ClassifierCalls, PeakMemory, Seconds, Steps
from counterfoil.metric.evaluation import evaluate_metrics


@pytest.mark.parametrize("metric", [Steps(), Seconds(), ClassifierCalls()])
def test_mean(metric, make):
    metric.update(replace(make(3), **{metric.name: torch.tensor([1, 2, 6])}))
    assert float(metric.compute()) == 3.0


def test_memory_is_the_maximum_and_has_no_interval(make):
    cf = replace(make(3), peak_memory_mb=torch.tensor([100.0, 300.0, math.nan]))
    entry = evaluate_metrics({"peak_memory_mb": PeakMemory()}, cf)[0]["peak_memory_mb"]
    assert (entry.value, entry.low, entry.high, entry.n) == (300.0, None, None, 2)
    assert (entry.unit, entry.minimum, entry.higher_is_better) == ("MB", 0.0, False)


def test_unknown_costs_are_none(make):
    cf = replace(make(3), seconds=torch.full((3,), math.nan), peak_memory_mb=torch.full((3,), math.nan))
    summary, _, _ = evaluate_metrics({"seconds": Seconds(), "peak_memory_mb": PeakMemory()}, cf)
    for entry in summary.values():
        assert (entry.value, entry.low, entry.high, entry.n) == (None, None, None, 0)


def test_the_time_of_a_batch_is_one_measurement(make):
    cf = replace(make(6), seconds=torch.tensor([0.1, 0.1, 0.1, 0.3, 0.3, 0.3]))
    entry = evaluate_metrics({"seconds": Seconds()}, cf)[0]["seconds"]
    assert (entry.n, entry.measured) == (6, 2)
    assert entry.low == 0.0  # two batches tell little
    alone = evaluate_metrics({"seconds": Seconds()}, cf[:3])[0]["seconds"]
    assert (alone.value, alone.low, alone.measured) == (pytest.approx(0.1), None, 1)
