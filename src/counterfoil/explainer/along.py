"""Which image of a strip is the counterfactual."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from counterfoil.core.query import Query

Returned = Literal["first", "last"]
"""The first image of a strip that reaches the target at the confidence, or its last image."""


def chosen(query: Query, logits: Tensor, returned: Returned) -> Tensor:
    """The image (B,) of each strip to return, of logits (B, S, K).

    Of several counterfactuals per query the k-th is the k-th image that reaches the target, failing that the
    last one that does; where none does, the likeliest.
    """
    length = logits.shape[1]
    if returned == "last":
        return torch.full_like(query.target, length - 1)
    reached, probability = query.grade(logits)
    rank = torch.ones_like(query.target) if query.repeat is None else query.repeat + 1
    nth = (reached.cumsum(1) == rank[:, None]) & reached
    fallback = torch.where(
        reached.any(1), length - 1 - reached.flip(1).int().argmax(1), probability.argmax(1)
    )
    return torch.where(nth.any(1), nth.int().argmax(1), fallback)
