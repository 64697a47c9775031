"""The region that a search may change: where the score of a classifier is most sensitive."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.core.query import Query
from counterfoil.search import Region


class Patch(nn.Module):
    """Decides by the pixels below and to the right of the middle."""

    def forward(self, x: Tensor) -> Tensor:
        score = x[..., 8:, 8:].flatten(1).sum(1) - 100.0
        return torch.stack((-score, score), dim=1)


def test_the_most_sensitive_cells_may_change_and_no_others(tiny_vae: Any, toy: Any) -> None:
    x = toy.test[range(3)].x.double()
    query = Query(x, torch.ones(3, dtype=torch.int64), Patch(), generator=tiny_vae)
    space = Region(share=0.25, cell=4)
    space.prepare(query)
    image = space.decode(query, {"z": tiny_vae.encode(x) + 1.0})
    changed = (image != x).any(0)[0]
    assert changed[8:, 8:].any()
    assert not changed[:8].any()
    assert not changed[:, :8].any()
    assert int(query.remembered["region"].sum()) == 3 * 64
    assert space.spent(query) == 1
