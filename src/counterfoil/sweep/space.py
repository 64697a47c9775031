"""The options that a sweep varies, and their values as overrides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from counterfoil.core.errors import UserError

KEYS = {"low", "high", "log", "step"}
Space = Mapping[str, BaseDistribution]
"""The distribution of each option, by its dotted path."""


def read_space(node: Any) -> dict[str, BaseDistribution]:
    """The space that a yaml describes: a list of values, or {low, high, log, step}, for each option.

    Whole ends give whole numbers; `log` draws the logarithm evenly.

    Raises:
        UserError: no option, an empty list, or ends that are no range.
    """
    if not isinstance(node, Mapping) or not node:
        raise UserError("sweep.space: expected options with their values; choose one of sweep=METHOD, or set "
                        "+sweep.space='{explainer.revise.lr: {low: 0.05, high: 0.5}}'")  # fmt: skip
    return {str(option): _distribution(str(option), value) for option, value in node.items()}


def _distribution(option: str, value: Any) -> BaseDistribution:
    where = f"sweep.space.{option}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not value or not all(isinstance(part, bool | int | float | str | None) for part in value):
            raise UserError(f"{where}={list(value)}: expected at least one value, each number, text or null")
        return CategoricalDistribution(tuple(value))
    if not isinstance(value, Mapping) or not {"low", "high"} <= set(value) <= KEYS:
        raise UserError(f"{where}={value}: expected a list of values, or {{low: A, high: B, log: true}}")
    low, high, log, step = value["low"], value["high"], value.get("log"), value.get("step")
    if not all(number(end) for end in (low, high)) or not low < high:
        raise UserError(f"{where}: low={low} and high={high} are no range; expected numbers, low below high")
    if log and low <= 0:
        raise UserError(f"{where}: low={low} has no logarithm; choose low above 0, or log: false")
    if step is not None and not (number(step) and 0 < step <= high - low):
        raise UserError(f"{where}: step={step}; expected a number above 0 and at most high - low, or none")
    if log and step is not None:
        raise UserError(f"{where}: step={step} and log: true exclude each other; leave one out")
    if all(isinstance(end, int) for end in (low, high, step or 1)):
        return IntDistribution(low, high, log=bool(log), step=step or 1)
    return FloatDistribution(float(low), float(high), log=bool(log), step=step)


def number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def grid_of(space: Space, points: int) -> dict[str, list[Any]]:
    """All values of lists, and `points` even ones of each range, both ends included."""
    return {option: _points(distribution, points) for option, distribution in space.items()}


def _points(distribution: BaseDistribution, points: int) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        low, high = math.log(low), math.log(high)
    parts = [low + (high - low) * i / max(points - 1, 1) for i in range(points)]
    found = [math.exp(part) if distribution.log else part for part in parts]
    if isinstance(distribution, IntDistribution):
        return sorted({round(value) for value in found})
    ends = (distribution.low, distribution.high)
    return [min(max(float(f"{value:.6g}"), ends[0]), ends[1]) for value in found]


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether an option's value is one that the distribution can draw."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    whole = isinstance(distribution, FloatDistribution) or isinstance(value, int)
    return number(value) and whole and distribution.low <= value <= distribution.high


def overrides(values: Mapping[str, Any]) -> list[str]:
    """Values of options as Hydra's command line takes them."""
    return [f"{option}={_written(value)}" for option, value in values.items()]


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
