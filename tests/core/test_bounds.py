"""Options are held against what their annotations declare."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from counterfoil.core.bounds import (
    Bounds,
    Count,
    Positive,
    Seed,
    Weight,
    Whole,
    checked,
    checks_options,
    open_ended,
    parameters,
    shown,
)
from counterfoil.core.errors import UserError


@checks_options
class Part:
    def __init__(
        self,
        steps: Count = 5,
        *,
        lr: Positive | None = None,
        weight: Weight | Callable[[float], float] = 1.0,
        sizes: Sequence[Count] = (),
        betas: tuple[float, float] = (0.5, 0.9),
        fast: bool = False,
        name: str = "part",
        target: str | int = "all",
        limit: float = math.inf,
        net: Any = None,
        mode: Literal["flip", "keep"] | None = None,
        layers: Sequence[str] = (),
        root: str | Path = "",
    ) -> None:
        self.given = dict(vars(), self=None)


class Further(Part):
    def __init__(self, rounds: Count = 2, **options: Any) -> None:
        super().__init__(**options)


@checks_options
@dataclass(frozen=True)
class Fact:
    share: Weight = 0.5


# this file stands for one of the package, whose plain int and float are checked too
for made in (Part, Further, Fact):
    vars(made)["__init__"].__wrapped__.__module__ = "counterfoil.tests"

REFUSED = [
    ({"steps": 0}, "steps=0: expected a whole number of at least 1"),
    ({"steps": -1}, "steps=-1: expected a whole number of at least 1"),
    ({"steps": 1.5}, "steps=1.5: expected a whole number of at least 1"),
    ({"steps": True}, "steps=true: expected a whole number of at least 1"),
    ({"steps": "abc"}, "steps='abc': expected a whole number of at least 1"),
    ({"steps": math.nan}, "steps=nan: expected a whole number of at least 1"),
    ({"steps": math.inf}, "steps=inf: expected a whole number of at least 1"),
    ({"steps": None}, "steps=null: expected a whole number of at least 1"),
    ({"steps": [1]}, "steps=[1]: expected a whole number of at least 1"),
    ({"steps": {"a": 1}}, "steps=a dict: expected a whole number of at least 1"),
    ({"steps": 10**400}, "expected a whole number of at least 1"),
    ({"steps": torch.tensor(1)}, "steps=a Tensor: expected a whole number of at least 1"),
    ({"lr": 0}, "lr=0: expected a number above 0 or null"),
    ({"lr": -math.inf}, "lr=-inf: expected a number above 0 or null"),
    ({"weight": -1}, "weight=-1: expected a number of at least 0 or callable"),
    ({"sizes": [3, 0]}, "sizes[1]=0: expected a whole number of at least 1"),
    ({"sizes": 3}, "sizes=3: expected a list, each a whole number of at least 1"),
    ({"betas": [0.5]}, "betas=[0.5]: expected 2 such values, each a number"),
    ({"betas": [0.5, math.nan]}, "betas[1]=nan: expected a number"),
    ({"fast": 1}, "fast=1: expected true or false"),
    ({"fast": "no"}, "fast='no': expected true or false"),
    ({"name": True}, "name=true: expected text; a text that reads otherwise needs quotes"),
    ({"layers": "pool"}, "layers='pool': expected a list; a list of one is Part: layers=[pool]"),
    ({"layers": 3}, "layers=3: expected a list"),
    ({"layers": [1.5]}, "layers[0]=1.5: expected text"),
    ({"mode": "flop"}, "mode=flop is not supported; choose one of: flip, keep"),
    ({"mode": 1}, "mode=1: expected flip or keep or null"),
    ({"root": None}, "root=null: expected text or a path"),
    ({"target": 1.5}, "target=1.5: expected text or a whole number"),
]
ACCEPTED = [
    ({"steps": 1e3}, 1000),
    ({"steps": np.int64(3)}, 3),
    ({"lr": None}, None),
    ({"lr": 2}, 2),
    ({"lr": np.float32(0.5)}, 0.5),
    ({"weight": abs}, abs),
    ({"sizes": [1e1, 2]}, [10, 2]),
    ({"sizes": (1, 2)}, (1, 2)),
    ({"betas": [0, 1]}, [0, 1]),
    ({"name": 10}, "10"),
    ({"layers": [0, "pool"]}, ["0", "pool"]),
    ({"layers": [np.int64(0), "pool"]}, ["0", "pool"]),
    ({"mode": "keep"}, "keep"),
    ({"root": Path("a")}, Path("a")),
    ({"target": 10}, 10),
    ({"limit": math.inf}, math.inf),
    ({"net": math.nan}, math.nan),
]


@pytest.mark.parametrize(("given", "line"), REFUSED, ids=str)
def test_refused(given: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as refusal:
        Part(**given)
    assert str(refusal.value).startswith("Part: ")
    assert line in str(refusal.value)
    with pytest.raises(UserError, match=r"^a\.b\."):
        checked(Part, given, "a.b.")


@pytest.mark.parametrize(("given", "right"), ACCEPTED, ids=str)
def test_accepted(given: dict[str, Any], right: Any) -> None:
    (name,) = given
    found = Part(**given).given[name]
    assert found is right or found == right
    assert type(found) is type(right) or isinstance(given[name], np.number)


def test_a_whole_float_becomes_an_integer() -> None:
    assert type(Part(1e3).given["steps"]) is int


def test_a_subclass_and_what_it_hands_on_are_checked() -> None:
    with pytest.raises(UserError, match="Further: rounds=0"):
        Further(0)
    with pytest.raises(UserError, match="Further: steps=0"):
        Further(steps=0)
    assert set(parameters(Further)) >= {"rounds", "steps", "lr"}
    assert not open_ended(Further)
    with pytest.raises(UserError, match="steps=-3"):
        checked(Further, {"steps": -3})


def test_a_dataclass_is_checked() -> None:
    assert Fact(share=1).share == 1
    with pytest.raises(UserError, match="Fact: share=-1: expected a number of at least 0"):
        Fact(-1)


def test_what_does_not_fit_the_signature_is_left_to_python() -> None:
    with pytest.raises(TypeError, match="unexpected keyword"):
        Part(nothing=1)  # type: ignore[call-arg]


def theirs(width: int = 8, steps: Count = 1, **more: float) -> dict[str, Any]:
    return {"width": width, "steps": steps, **more}


def test_callables_from_elsewhere_are_checked_where_they_declare_bounds() -> None:
    given = {"width": "wide", "depth": math.nan, "steps": 2.0}
    assert str(checked(theirs, given)) == "{'width': 'wide', 'depth': nan, 'steps': 2}"
    assert open_ended(theirs)
    with pytest.raises(UserError, match="steps=0"):
        checked(theirs, {"steps": 0})
    assert checked(max, {"key": 1}) == {"key": 1}


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "words"),
    [
        (Bounds(least=1), (1, 2), (0.9,), "of at least 1"),
        (Bounds(above=0, most=1), (0.1, 1), (0, 1.1), "above 0 and at most 1"),
        (Bounds(least=0, below=1), (0, 0.99), (-0.1, 1), "of at least 0 and below 1"),
        (Bounds(), (-9, 9), (), ""),
    ],
)
def test_bounds(bounds: Bounds, inside: Sequence[float], outside: Sequence[float], words: str) -> None:
    assert all(map(bounds.hold, inside))
    assert not any(map(bounds.hold, outside))
    assert str(bounds) == words


def test_declared_kinds() -> None:
    def draw(seed: Seed, left: Whole) -> None: ...

    assert checked(draw, {"seed": 2**32 - 1, "left": 0}) == {"seed": 2**32 - 1, "left": 0}
    for given in ({"seed": -1}, {"seed": 2**32}, {"left": -1}, {"left": 2**31}):
        with pytest.raises(UserError):
            checked(draw, given)


def test_values_as_a_config_has_them() -> None:
    assert [shown(v) for v in (None, True, 3, 0.1, "a", [1, "b"], abs)] == [
        "null", "true", "3", "0.1", "'a'", "[1,'b']", "a builtin_function_or_method",
    ]  # fmt: skip
