"""Ascent in the coordinates of a flow."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.diffeomorphic import Diffeomorphic
from counterfoil.generative.flow.network import Flow
from counterfoil.generative.vae import VAE


@pytest.fixture
def flow() -> Flow:
    torch.manual_seed(0)
    made = Flow(1, 16, couplings=4, width=4).double().eval()
    with torch.no_grad():
        for value in made.parameters():
            value += 0.05 * torch.randn_like(value)
    return made


def test_the_factual_is_where_it_starts_and_the_code_decodes_to_what_is_returned(
    flow: Flow, tiny_classifier: nn.Module, toy: Any
) -> None:
    x = toy.test[range(4)].x.double()
    explainer = Diffeomorphic(tiny_classifier, flow, confidence=0.8)
    cf = explainer(x)
    assert cf.valid.all()
    assert (cf.target_probability >= 0.8).all()
    torch.testing.assert_close(flow.decode(cf.extra["z"]), cf.counterfactual)
    still = Diffeomorphic(tiny_classifier, flow, confidence=1.0, steps=1, lr=1e-9)(x)
    torch.testing.assert_close(still.counterfactual, x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("generator", [None, VAE(1, 16, latent=4, width=4)])
def test_other_generators_are_refused(tiny_classifier: nn.Module, generator: Any) -> None:
    with pytest.raises(UserError, match="needs a trained Flow"):
        Diffeomorphic(tiny_classifier, generator)
