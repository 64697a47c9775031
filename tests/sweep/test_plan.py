"""The node `sweep` of a config as typed values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from counterfoil.core.errors import UserError
from counterfoil.sweep.plan import Plan


def test_a_plan_holds_what_the_config_says(node: Callable[..., dict[str, Any]]) -> None:
    plan = Plan.of(node(sampler="random", objectives=["l1"]))
    assert (plan.name, plan.sampler, plan.trials, plan.objectives) == ("toy", "random", 8, ("l1",))
    assert set(plan.space) == {"explainer.toy.pull", "explainer.toy.rate"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"trials": 0}, "sweep.trials=0: expected a whole number of at least 1"),
        ({"parallel": 1.5}, "sweep.parallel=1.5"),
        ({"first": True}, "sweep.first=true"),
        ({"sampler": "bayes"}, "sweep.sampler=bayes is not supported; choose one of: tpe"),
        ({"objectives": []}, "sweep.objectives: none"),
        ({"objectives": "l1"}, "expected a list; a list of one is sweep.objectives=[l1]"),
        ({"constraints": {"l1": "low"}}, "sweep.constraints.l1='low': expected a number; without it: ~sweep"),
        ({"constraints": {"l1": None}}, "sweep.constraints.l1=null: expected a number"),
        ({"trails": 3}, "option sweep.trails does not exist; did you mean trials?"),
    ],
)
def test_what_is_no_plan_is_refused(
    options: dict[str, Any], says: str, node: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(UserError) as refusal:
        Plan.of(node(**options))
    assert says in str(refusal.value)


def test_the_number_of_trials_does_not_make_another_sweep(node: Callable[..., dict[str, Any]]) -> None:
    one = Plan.of(node()).identity({"n": 9})
    assert one == Plan.of(node(trials=99, parallel=2, sampler="random")).identity({"n": 9})
    assert one != Plan.of(node()).identity({"n": 10})
    assert one != Plan.of(node(objectives=["l1"])).identity({"n": 9})
