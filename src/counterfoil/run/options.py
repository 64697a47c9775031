"""Looks at the plain options of a script before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterfoil.core.errors import UserError

LEAST = {"n": 1, "count": 1, "batch_size": 1, "threads": 1}
"""Options that are whole numbers, and the smallest value of each."""


def check_options(node: Mapping[str, Any]) -> None:
    """Refuse numbers that are none, or out of range; `threads` may be null."""
    for name, least in LEAST.items():
        value = node.get(name)
        if value is None and name == "threads":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"{name}={value}: expected a whole number of at least {least}")
    if not isinstance(node["seed"], int):
        raise UserError(f"seed={node['seed']}: expected a whole number")
    confidence = node["confidence"]
    if not isinstance(confidence, int | float) or not 0 < confidence <= 1:
        raise UserError(
            f"confidence={confidence} is not a probability to reach; choose a value in (0, 1], such as 0.9"
        )


def chosen(explainers: Mapping[str, Any]) -> dict[str, Any]:
    """The methods of a config; what an experiment sets for one that `explainer=` did not choose is no method."""
    return {
        name: node for name, node in explainers.items() if not isinstance(node, Mapping) or "_target_" in node
    }
