"""Training images that a search looks up, in the code of a generative model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.core.query import Query

ROWS = 512
"""Images that are encoded at once."""


@torch.no_grad()
def decided(classifier: nn.Module, generator: Any, data: Any, pool: int) -> Iterator[Query]:
    """The first `pool` training images as queries, batch by batch; their target is the decision on them."""
    like = next(classifier.parameters(), torch.zeros(1))
    number = min(pool, len(data.train))
    for first in range(0, number, ROWS):
        x = data.train[range(first, min(first + ROWS, number))].x.to(like)
        yield Query(x, classifier(x).argmax(1), classifier, generator=generator)


def distances(one: Tensor, other: Tensor) -> Tensor:
    """Euclidean distances (A, B) of codes (A, ...) and (B, ...)."""
    # never by a matrix product: its rounding depends on the size of the batch
    return torch.cdist(one.flatten(1), other.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
