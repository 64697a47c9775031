"""Validity and target probability against hand values."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from counterfoil.metric.validity import SourceProbability, TargetProbability, Validity


@pytest.fixture
def cf(make):
    logits = torch.tensor(
        [[0.0, math.log(3), -30.0], [math.log(3), 0.0, -30.0], [0.0, 0.0, math.log(2)], [5.0, 0.0, 0.0]]
    )
    return replace(make(4), counterfactual_logits=logits, target=torch.tensor([1, 1, 2, 1]))


def test_validity(cf):
    metric = Validity()
    metric.update(cf)
    assert metric.values.tolist() == [1, 0, 1, 0]
    assert metric.valid.tolist() == [True, False, True, False]
    assert float(metric.compute()) == 0.5


def test_target_probability(cf):
    metric = TargetProbability()
    metric.update(cf)
    assert metric.values.tolist() == pytest.approx([0.75, 0.25, 0.5, 1 / (math.exp(5) + 2)], rel=1e-5)


def test_source_probability(cf):
    """The factuals' decisions are classes 0, 1, 2 and 0."""
    decided = torch.eye(3)[[0, 1, 2, 0]]
    metric = SourceProbability()
    metric.update(replace(cf, factual_logits=decided))
    assert metric.values.tolist() == pytest.approx(
        [0.25, 0.25, 0.5, math.exp(5) / (math.exp(5) + 2)], rel=1e-5
    )
