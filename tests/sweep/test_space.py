"""Search spaces: what a yaml means, what a grid holds, and how values are written for Hydra."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from counterfoil.core.errors import UserError
from counterfoil.sweep.space import contains, grid_of, overrides, read_space


def test_lists_and_ranges() -> None:
    space = read_space(
        {
            "a.flip": ["margin", None, 3],
            "a.steps": {"low": 1, "high": 64, "log": True},
            "a.lr": {"low": 0.01, "high": 1.0},
        }
    )
    assert space["a.flip"] == CategoricalDistribution(("margin", None, 3))
    assert space["a.steps"] == IntDistribution(1, 64, log=True)
    assert space["a.lr"] == FloatDistribution(0.01, 1.0)


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (None, "sweep.space: expected options"),
        ({}, "sweep.space: expected options"),
        ({"a": []}, "sweep.space.a=[]: expected at least one value"),
        ({"a": [[1]]}, "each number, text or null"),
        ({"a": 3}, "sweep.space.a=3: expected a list"),
        ({"a": {"low": 1}}, "expected a list of values"),
        ({"a": {"low": 1, "high": 2, "lgo": True}}, "expected a list of values"),
        ({"a": {"low": 2, "high": 1}}, "low=2 and high=1 are no range"),
        ({"a": {"low": True, "high": 3}}, "are no range"),
        ({"a": {"low": 0.0, "high": math.inf}}, "are no range"),
        ({"a": {"low": 0.0, "high": 1.0, "log": True}}, "low=0.0 has no logarithm"),
    ],
)
def test_what_is_no_space_is_refused(node: Any, says: str) -> None:
    with pytest.raises(UserError) as refusal:
        read_space(node)
    assert says in str(refusal.value)


def test_a_grid_holds_both_ends() -> None:
    space = read_space(
        {"a": [1, 2], "b": {"low": 0.01, "high": 1.0, "log": True}, "c": {"low": 1, "high": 4}}
    )
    assert grid_of(space, 3) == {"a": [1, 2], "b": [0.01, 0.1, 1.0], "c": [1, 2, 4]}


def test_whether_a_space_holds_a_value() -> None:
    space = read_space({"a": [1, None], "b": {"low": 1, "high": 4}, "c": {"low": 0.5, "high": 1.0}})
    assert contains(space["a"], None)
    assert not contains(space["a"], 3)
    assert contains(space["b"], 4)
    assert not contains(space["b"], 2.5)
    assert contains(space["c"], 1)
    assert not contains(space["c"], True)


@pytest.mark.parametrize("value", [0.1, 3, None, True, "margin", "it's, a=[b]", "1e3", "null"])
def test_hydra_reads_an_override_back_as_it_was(value: Any) -> None:
    (override,) = OverridesParser.create().parse_overrides(overrides({"a.b": value}))
    read = override.value()
    assert read == value
    assert type(read) is type(value) or isinstance(value, str)
