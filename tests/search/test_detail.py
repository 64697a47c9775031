"""The factual's detail, where a generative model draws no change."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from counterfoil.core.query import Query
from counterfoil.search import Ahead, Detail, Latent


def test_without_change_the_factual_comes_out_and_far_from_one_it_stays() -> None:
    x = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    query = Query(x, torch.tensor([0, 1]), nn.Identity())
    blurred = torch.full_like(x, 0.5)
    torch.testing.assert_close(Detail()(query, blurred, blurred), x)
    drawn = blurred.clone()
    drawn[:, :, 3, 3] = 1.0
    image = Detail(fade=10.0)(query, drawn, blurred)
    torch.testing.assert_close(image[:, :, 6:], x[:, :, 6:])
    kept = math.exp(-10.0 * 0.5 / 9)
    torch.testing.assert_close(image[0, 0, 3, 3], (1.0 + kept * (x[0, 0, 3, 3] - 0.5)).clamp(0, 1))
    assert not torch.equal(image[:, :, 2:5, 2:5], x[:, :, 2:5, 2:5])


def test_a_latent_with_detail_starts_at_the_factual(
    tiny_classifier: nn.Module, tiny_vae: Any, toy: Any
) -> None:
    x = toy.test[range(3)].x.double()
    query = Query(x, torch.zeros(3, dtype=torch.int64), tiny_classifier, generator=tiny_vae)
    for space in (Latent(detail=Detail()), Ahead("gradient", detail=Detail())):
        code = Latent().start(query)
        torch.testing.assert_close(space.decode(query, code), x)
        assert not torch.allclose(Latent().decode(query, code), x)
        moved = {"z": (code["z"] + 1.0).requires_grad_()}
        assert torch.autograd.grad(space.decode(query, moved).sum(), moved["z"])[0].abs().sum() > 0
