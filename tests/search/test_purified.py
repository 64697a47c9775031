"""An image seen through a diffusion model."""

from __future__ import annotations

import torch
from torch import nn

from counterfoil.core.query import Query
from counterfoil.generative.diffusion.network import Diffusion
from counterfoil.search import Purified


def test_the_noise_is_each_querys_own_and_the_gradient_goes_through(tiny_classifier: nn.Module) -> None:
    torch.manual_seed(0)
    net = Diffusion(1, 16, width=4, timesteps=50).double().eval().requires_grad_(False)
    x = torch.rand(3, 1, 16, 16, dtype=torch.float64)
    query = Query(x, torch.zeros(3, dtype=torch.int64), tiny_classifier, generator=net)
    space = Purified(0.3, 2)
    space.prepare(query)
    variables = space.start(query)
    variables["x"] = variables["x"].clone().requires_grad_()
    seen = space.decode(query, variables)
    assert 0 <= seen.min() <= seen.max() <= 1
    assert torch.equal(seen, space.decode(query, variables))
    (gradient,) = torch.autograd.grad(seen.sum(), variables["x"])
    assert (gradient != 0).flatten(1).any(1).all()
    part = query[torch.tensor([2])]
    torch.testing.assert_close(space.decode(part, space.start(part)), seen[2:])
    assert torch.equal(variables["x0"], x)
