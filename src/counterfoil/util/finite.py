"""Weights that no training should leave: NaN and infinite values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError


def broken(net: nn.Module) -> str | None:
    """The name of the first weight that holds NaN or an infinite value, None where all are finite.

    In a buffer, -inf may be a mask, as in attention, and is let through.
    """
    tensors = [*net.parameters(), *net.buffers()]
    if _all_finite(tensors):
        return None
    for name, weight in net.named_parameters():
        if not _finite(weight.detach()):
            return name
    for name, value in net.named_buffers():
        if not _finite(value) and not bool((value.isfinite() | value.isneginf()).all()):
            return name
    return None


def refuse_broken(net: nn.Module, what: str, fix: str) -> None:
    """Raise a UserError, `what` holds NaN or infinite values; `fix`, where a weight is not finite."""
    name = broken(net)
    if name is not None:
        raise UserError(f"{what} holds NaN or infinite values in {name}; {fix}")


def _all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether the sums of all tensors are finite, asked once per type and device."""
    sums: dict[tuple[torch.dtype, torch.device], list[Tensor]] = defaultdict(list)
    for value in tensors:
        if value.is_floating_point() or value.is_complex():
            sums[value.dtype, value.device].append(value.detach().sum())
    return all(bool(torch.stack(part).isfinite().all()) for part in sums.values())


def _finite(value: Tensor) -> bool:
    """One pass over the memory where all is well: the sum of finite values is finite, unless it overflows."""
    if not (value.is_floating_point() or value.is_complex()) or not value.numel():
        return True
    return bool(value.sum().isfinite()) or bool(value.isfinite().all())
