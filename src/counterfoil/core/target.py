"""The target of each query: one class per query, one for all, the runner-up, its own, or every other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterfoil.core.errors import UserError

Target = Tensor | int | str | None
FORMS = ("runner_up", "own", "all")
"""Targets beside classes: the second most probable one, the most probable one, all but the latter."""
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def resolve_targets(
    logits: Tensor, target: Target, class_names: tuple[str, ...] | None
) -> tuple[Tensor, Tensor]:
    """Targets and query indices, both (rows,), from logits (B, K) and a target in any accepted form."""
    each = torch.arange(len(logits), device=logits.device)
    if target is None or (isinstance(target, str) and target == "runner_up"):
        return logits.topk(2, dim=1).indices[:, 1], each
    if isinstance(target, str) and target == "own":
        return logits.argmax(1), each
    if isinstance(target, Tensor):
        if target.shape != each.shape or target.dtype not in INTEGERS:
            found = f"shape {tuple(target.shape)} of {target.dtype}"
            raise UserError(
                f"target: expected {len(each)} class indices (whole numbers, one per query), found {found}"
            )
        return _known(target.to(each), logits.shape[1]), each
    if isinstance(target, str) and target == "all":
        rows = (torch.arange(logits.shape[1], device=logits.device) != logits.argmax(1)[:, None]).nonzero()
        return rows[:, 1], rows[:, 0]
    return torch.full_like(each, class_index(target, class_names, logits.shape[1])), each


def class_index(target: int | str | Any, class_names: tuple[str, ...] | None, classes: int) -> int:
    """The index of a class given by name or number; raises UserError with the known names."""
    names = class_names or tuple(str(k) for k in range(classes))
    if isinstance(target, str) and target in names:
        return names.index(target)
    if isinstance(target, int) and not isinstance(target, bool) and 0 <= target < classes:
        return target
    raise UserError(
        f"target={target} is not a class of this classifier; "
        f"choose runner_up, own, all, or one of: {', '.join(names)}"
    )


def _known(target: Tensor, classes: int) -> Tensor:
    if len(target) and not 0 <= int(target.min()) <= int(target.max()) < classes:
        raise UserError(
            f"target: expected class indices in 0..{classes - 1}, "
            f"found {int(target.min())}..{int(target.max())}"
        )
    return target
