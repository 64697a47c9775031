"""The share of a change that lies in a box, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.metric.region_share import RegionShare


def test_the_box_has_its_share_of_an_even_change_and_all_of_one_within(make: Any) -> None:
    x = torch.zeros(3, 1, 6, 6)
    y = x.clone()
    y[0] += 0.5
    y[1, :, 4:, 2:4] = 0.9
    metric = RegionShare()
    metric.update(replace(make(3), factual=x, counterfactual=y))
    assert metric.values[:2].tolist() == pytest.approx([4 / 36, 1.0])
    assert metric.values[2].isnan()
    assert metric.compute() == pytest.approx((4 / 36 + 1) / 2)


def test_an_empty_box_is_refused() -> None:
    with pytest.raises(UserError, match=r"metric.region_share.top=0.5 is not below bottom=0.5"):
        RegionShare(top=0.5, bottom=0.5)
