"""The target of each query: one class per query, one for all, the runner-up, its own, or every other."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.errors import UserError

Target = Any
"""A class by name or index; one of `FORMS`; None, the runner-up; or a list, array or tensor of one each."""
FORMS = ("runner_up", "own", "all")
"""Targets beside classes: the second most probable one, the most probable one, all but the latter."""
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?", re.ASCII)


def resolve_targets(
    logits: Tensor, target: Target, class_names: tuple[str, ...] | None
) -> tuple[Tensor, Tensor]:
    """Targets and query indices, both (rows,), from logits (B, K) and a target in any accepted form.

    Raises:
        UserError: a class that is unknown, or another number of targets than of queries.
    """
    given = target.tolist() if hasattr(target, "tolist") else target
    many = isinstance(given, Sequence) and not isinstance(given, str)
    each = given if many else [given] * len(logits)
    if len(each) != len(logits) or any(isinstance(value, list) for value in each):
        raise UserError(_wrong_count(target, len(logits)))
    own, first = logits.argmax(1), logits.topk(2, dim=1).indices
    second = torch.where(first[:, 1] == own, first[:, 0], first[:, 1])
    known = zip(each, own.tolist(), second.tolist(), strict=True)
    rows = [
        (wanted, query)
        for query, (value, most, next_most) in enumerate(known)
        for wanted in _requested(
            value, most, next_most, class_names, logits.shape[1], query if many else None
        )
    ]
    targets, index = torch.tensor(rows, dtype=torch.int64, device=logits.device).reshape(-1, 2).unbind(1)
    return targets.contiguous(), index.contiguous()


def class_index(
    value: int | str | Any, class_names: Sequence[str] | None, classes: int, where: str = "target"
) -> int:
    """The index of a class given by name or number; raises UserError with the known names.

    Text is a name first. Text that is a number counts as an index where no class is called by a number.
    """
    names = tuple(class_names or (str(k) for k in range(classes)))
    if isinstance(value, str):
        found = _named(value.strip(), names)
    else:
        found = None if isinstance(value, bool) else _index(value)
    if found is not None and 0 <= found < classes:
        return found
    shown = f"{value:g} (a float; take whole numbers, such as {value:.0f})" if _float(value) else f"{value}"
    raise UserError(
        f"{where}={shown} is not a class of this classifier; "
        f"choose {', '.join(FORMS)}, or one of: {', '.join(names)}"
    )


def whole_number(text: str) -> int | None:
    """The number that text stands for, "3.0" as well as "3"; None where it is no whole number."""
    return int(text.strip().split(".")[0]) if _WHOLE.fullmatch(text.strip()) else None


def _requested(
    value: Any, own: int, second: int, names: Sequence[str] | None, classes: int, place: int | None
) -> list[int]:
    """The classes that a target stands for, given a query's most and second most probable class."""
    if value is None:
        return [second]
    if isinstance(value, str) and value in FORMS:
        return {"runner_up": [second], "own": [own], "all": [k for k in range(classes) if k != own]}[value]
    return [class_index(value, names, classes, "target" if place is None else f"target[{place}]")]


def _named(text: str, names: Sequence[str]) -> int | None:
    number = whole_number(text)
    for spelling in dict.fromkeys((text, text if number is None else str(number))):
        if spelling in names:
            return names.index(spelling)
    return None if any(whole_number(name) is not None for name in names) else number


def _index(value: Any) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None


def _float(value: Any) -> bool:
    return isinstance(value, float) and abs(value) < float("inf")


def _wrong_count(target: Any, queries: int) -> str:
    shape = getattr(target, "shape", None)
    found = f"{len(target)}" if shape is None or len(shape) < 2 else f"shape {tuple(shape)}"
    fix = "target.argmax(1) for one-hot rows, target.flatten() for a column"
    return (
        f"target: expected one class, or {queries} of them (one per query), found {found}"
        f"{'' if shape is None or len(shape) < 2 else f'; {fix}'}"
    )
