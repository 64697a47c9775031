"""Which tensors of a file are a network's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.util.matching import Match, match

NET = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 3))


def weights(fill: float, prefix: str = "", net: nn.Module = NET) -> dict[str, Tensor]:
    return {prefix + key: torch.full_like(value, fill) for key, value in net.state_dict().items()}


def fit(found: Mapping[str, Tensor], net: nn.Module = NET, **options: Any) -> Match:
    return match(net.state_dict(), found, "checkpoint a.pt", "Net", **options)


@pytest.mark.parametrize("prefix", ["", "a.", "a.b.c.", "state_dict/", "a/b/net.", "0.0."])
def test_one_prefix(prefix: str) -> None:
    found = fit({**weights(2.0, prefix), "epoch": torch.ones(1)})
    assert found.prefix == prefix
    assert found.state.keys() == NET.state_dict().keys()
    assert all(bool((value == 2).all()) for value in found.state.values())


def test_of_several_that_fit_equal_ones_are_one() -> None:
    assert fit({**weights(1.0, "model/"), **weights(1.0, "ema/")}).prefix == "model/"


def test_of_several_that_fit_one_is_to_be_named() -> None:
    both = {**weights(1.0, "model/"), **weights(2.0, "ema/")}
    with pytest.raises(UserError, match=r"'model' and 'ema'; say which, such as \+classifier\.prefix='ema'"):
        fit(both)
    for prefix in ("ema", "ema/", "ema."):
        assert fit(both, prefix=prefix).state["0.bias"][0] == 2


def test_whole_sets_come_before_parts() -> None:
    """A half-finished copy does not stand in the way, whatever comes first."""
    half = {key: value for key, value in weights(1.0, "half.").items() if "0." in key}
    assert fit({**half, **weights(2.0, "whole.")}).prefix == "whole."


def test_names_of_a_wrapper_that_the_file_lacks() -> None:
    wrapped = nn.ModuleDict({"net": nn.ModuleDict({"body": NET})})
    found = match(wrapped.state_dict(), weights(3.0, "x."), "a", "Net")
    assert found.state.keys() == wrapped.state_dict().keys()


@pytest.mark.parametrize("name", ["_orig_mod.{}", "net._orig_mod.{}", "{}"])
def test_compiled_parts(name: str) -> None:
    found = {name.format(key): value for key, value in weights(1.0).items()}
    assert fit(found).state.keys() == NET.state_dict().keys()
    middle = {key.replace("0.", "0._orig_mod.", 1): value for key, value in weights(1.0).items()}
    assert fit(middle).state.keys() == NET.state_dict().keys()


def test_counts_of_batches_may_be_missing() -> None:
    found = {key: value for key, value in weights(1.0).items() if "num_batches" not in key}
    assert fit(found).state.keys() == found.keys()
    with pytest.raises(UserError, match=r"lacks 1\.running_mean"):
        fit({key: value for key, value in found.items() if "running_mean" not in key})


def test_surplus_beside_the_network_is_told_and_within_it_refused() -> None:
    assert fit({**weights(1.0), "loss.weight": torch.ones(3)}).surplus.keys() == {"loss.weight"}
    assert not fit({**weights(1.0, "net."), "loss.weight": torch.ones(3)}).surplus
    assert not fit({**weights(1.0, "net/"), "loss/weight": torch.ones(3)}).surplus
    with pytest.raises(UserError, match=r"has in addition 3\.extra"):
        fit({**weights(1.0), "3.extra": torch.ones(3)})


def test_one_name_of_a_shared_tensor_is_enough() -> None:
    tied = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    tied["b"].weight = tied["a"].weight
    assert fit({"a.weight": torch.ones(2, 2)}, tied).state.keys() == {"a.weight"}
    tied["b"].weight = nn.Parameter(torch.ones(2, 2))
    with pytest.raises(UserError, match=r"lacks b\.weight"):
        fit({"a.weight": torch.ones(2, 2)}, tied)


def test_optional_tensors_may_lack_or_differ() -> None:
    found = {**weights(1.0), "3.bias": torch.ones(7)}
    assert fit(found, optional=["3.bias"]).state.keys() == NET.state_dict().keys()
    with pytest.raises(UserError, match=r"3\.bias is \(7,\), expected \(3,\)"):
        fit(found)


def test_nothing_agrees() -> None:
    line = (
        r"does not fit Net: no name agrees; it begins with x, y; expected 0\.weight, 0\.bias, 1\.weight and 5"
    )
    with pytest.raises(UserError, match=line):
        fit({"x": torch.ones(1), "y": torch.ones(1)})
