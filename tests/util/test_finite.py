"""Weights that are not finite are found by name; masks and large weights are left alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.util.finite import broken, refuse_broken


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["0.weight", "0.bias", "1.weight"])
def test_a_parameter_is_found(name: str, value: float) -> None:
    made = net()
    assert broken(made) is None
    with torch.no_grad():
        made.get_parameter(name).view(-1)[1] = value
    assert broken(made) == name
    with pytest.raises(UserError, match=rf"^the judge holds NaN or infinite values in {name}; train it"):
        refuse_broken(made, "the judge", "train it again")


@pytest.mark.parametrize(("value", "found"), [(torch.nan, True), (torch.inf, True), (-torch.inf, False)])
def test_in_a_buffer_a_mask_is_none(value: float, found: bool) -> None:
    made = net()
    made[1].running_var[0] = value
    assert broken(made) == ("1.running_var" if found else None)


def test_opposite_infinities_and_an_overflowing_sum_are_told_apart() -> None:
    made = net()
    with torch.no_grad():
        made[0].weight.fill_(3e38)
    assert broken(made) is None
    with torch.no_grad():
        made[0].weight[0, 0], made[0].weight[0, 1] = torch.inf, -torch.inf
    assert broken(made) == "0.weight"


def test_whole_numbers_and_empty_weights_are_finite() -> None:
    made = net()
    made.register_buffer("places", torch.arange(4))
    made.register_buffer("none", torch.zeros(0))
    assert broken(made) is None
