"""The error of a generative model's reconstruction."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from counterfoil.core.query import Query
from counterfoil.search import Candidate, Redrawn


def test_the_sum_of_squares_between_an_image_and_what_is_drawn_of_it(tiny_vae: Any, toy: Any) -> None:
    x = toy.test[range(3)].x.double().requires_grad_()
    query = Query(x.detach(), torch.zeros(3, dtype=torch.int64), nn.Identity(), generator=tiny_vae)
    value = Redrawn()(query, Candidate({}, x, x.flatten(1), 0.0))
    with torch.no_grad():
        expected = (x - tiny_vae.decode(tiny_vae.encode(x))).square().sum((1, 2, 3))
    torch.testing.assert_close(value.detach(), expected)
    assert torch.autograd.grad(value.sum(), x)[0].abs().sum() > 0
