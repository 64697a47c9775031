"""A trained start is what DISC then starts from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.explainer.disc import DISC
from counterfoil.generative.prior.dip import DIP
from counterfoil.generative.prior.inr import INR
from counterfoil.generative.prior.start import PriorStart
from counterfoil.generative.vae import VAE

SMALL = INR(frequencies=8, width=8, depth=2, steps=40, lr=1e-2, psnr=12.0)


def test_disc_fits_from_the_start(tiny_classifier: nn.Module, toy: Any) -> None:
    torch.manual_seed(0)
    start = PriorStart(1, 16, SMALL).double()
    method = DISC(tiny_classifier, start=start)
    assert method.space.prior is SMALL
    x = toy.test[range(3)].x.double()
    query = Query(x, torch.zeros(3).long(), tiny_classifier, generator=start, repeat=torch.tensor([0, 0, 1]))
    drawn = method.space.draw(query)
    assert torch.equal(drawn["w0"][0], start.theta["w0"].detach())
    assert torch.equal(drawn["w0"][0], drawn["w0"][1])
    assert 0 < float((drawn["w0"][2] - drawn["w0"][0]).abs().amax()) < 0.1
    assert method(x).extra["fit_steps"].max() <= SMALL.steps


def test_a_start_of_a_convolutional_prior_keeps_its_names() -> None:
    start = PriorStart(3, 16, DIP(channels=(4, 4), noise=2))
    assert set(start.start) == set(start.prior.weights((3, 16, 16)))
    assert sum(p.numel() for p in start.parameters()) == sum(value.numel() for value in start.start.values())


def test_a_start_that_does_not_fit_is_refused(tiny_classifier: nn.Module, toy: Any) -> None:
    with pytest.raises(UserError, match=r"start=VAE.*generative=prior_start"):
        DISC(tiny_classifier, start=VAE(1, 16, latent=2, width=4))
    x = toy.test[range(2)].x.double()
    with pytest.raises(UserError, match=r"weights w2, these images need \(1, 8\)"):
        DISC(tiny_classifier, start=PriorStart(3, 16, SMALL).double())(x)
