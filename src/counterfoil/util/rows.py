"""Rows of a batch that is being optimised: those that are finished leave it."""

from __future__ import annotations

import torch
from torch import Tensor


def take_rows(
    optimizer: torch.optim.Optimizer, variables: dict[str, Tensor], rows: Tensor
) -> dict[str, Tensor]:
    """Keep only `rows` of every variable and of the optimiser's elementwise state; returns the new leaves."""
    kept: dict[str, Tensor] = {}
    replaced: dict[Tensor, Tensor] = {}
    for name, value in variables.items():
        kept[name] = value.detach()[rows].requires_grad_(value.requires_grad)
        replaced[value] = kept[name]
    for group in optimizer.param_groups:
        group["params"] = [replaced[old] for old in group["params"]]
    for old, new in replaced.items():
        state = optimizer.state.pop(old, None)
        if state is not None:
            optimizer.state[new] = {
                key: entry[rows] if isinstance(entry, Tensor) and entry.shape == old.shape else entry
                for key, entry in state.items()
            }
    return kept
