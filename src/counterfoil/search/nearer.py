"""The nearer of two counterfactuals of the same query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Found
from counterfoil.core.query import Query, finite_rows


@torch.no_grad()
def nearer(query: Query, one: Found, other: Found) -> Found:
    """Of each row the one that reaches its target with the least mean |x - x'|; the first where none does.

    Steps and calls of both count, and one call more for each.
    """
    better = _distance(query, other) < _distance(query, one)
    return replace(
        one,
        counterfactual=_choose(better, other.counterfactual, one.counterfactual),
        steps=one.steps + other.steps,
        classifier_calls=one.classifier_calls + other.classifier_calls + 2,
        changes=_table(better, other.changes, one.changes),
        extra=_table(better, other.extra, one.extra),
    )


def _distance(query: Query, found: Found) -> Tensor:
    """Mean change of each row (B,); infinite where the target is not reached."""
    finite = finite_rows(found.counterfactual)
    shown = torch.where(finite.view(-1, 1, 1, 1), found.counterfactual, query.factual)
    image = query.keep(query.domain.hard(shown))
    reached = query.reached(query.classifier(image)) & finite
    return (image - query.factual).abs().flatten(1).mean(1).masked_fill(~reached, torch.inf)


def _table(rows: Tensor, new: Mapping[str, Tensor], old: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: _choose(rows, new[name], value) for name, value in old.items() if name in new}


def _choose(rows: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(rows.view(-1, *[1] * (new.ndim - 1)), new, old)
