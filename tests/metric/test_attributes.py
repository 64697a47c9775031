"""Attributes of factual and counterfactual, by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.metric.attributes import (
    MNAC,
    AttributeChanged,
    CorrelationDifference,
    OthersChanged,
    correlations,
)


def test_changed_attributes_are_counted(attributed: Any, pixel_judge: Any) -> None:
    cf, data = attributed
    assert MNAC(pixel_judge, data).score(cf).tolist() == [2, 2, 1, 1]
    assert OthersChanged(pixel_judge, data).score(cf).tolist() == [1, 1, 0, 0]
    both = SimpleNamespace(**{**vars(data), "attribute": "a+b"})
    assert OthersChanged(pixel_judge, both).score(cf).tolist() == [0, 0, 0, 0]
    assert AttributeChanged(pixel_judge, data, "b").score(cf).tolist() == [1, 1, 0, 0]
    assert AttributeChanged(pixel_judge, data, "c").score(cf).tolist() == [0, 0, 0, 0]
    with pytest.raises(UserError, match="known attributes: a, b, c"):
        AttributeChanged(pixel_judge, data, "d")
    with pytest.raises(UserError, match="needs data with attributes"):
        MNAC(pixel_judge, SimpleNamespace(attribute_names=(), name="digits"))


def test_correlations_are_torchs() -> None:
    values = torch.rand(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values[:, 2] = 1
    found = correlations(values, torch.ones(1, 20, dtype=torch.float64), 0)[0]
    assert found[0] == pytest.approx(1)
    assert found[1] == pytest.approx(float(torch.corrcoef(values[:, :2].T)[0, 1]))
    assert found[2] == 0


def test_correlation_difference_by_hand(attributed: Any, pixel_judge: Any) -> None:
    """Changes of a and b correlate by 1, the truth's a and b by 0; c is independent and never changes."""
    cf, data = attributed
    factual, counterfactual = torch.zeros(2, 4, 1, 2, 2)
    factual[2:, 0, 0, 0] = 1
    counterfactual[:2, 0, 0, :2] = 1
    metric = CorrelationDifference(pixel_judge, data)
    metric.update(replace(cf, factual=factual, counterfactual=counterfactual))
    assert float(metric.compute()) == pytest.approx(1)
