"""The gate: reconstructions by the generator must keep the classifier's decisions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.data.base import Images
from counterfoil.explainer.gate import check_reconstruction
from counterfoil.generative.vae import VAE
from counterfoil.search import Latent


class Still(nn.Module):
    """Decodes the same dark grey whatever it is given."""

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x.flatten(1)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.full_like(z, 0.3).view(-1, 1, 4, 4)


@pytest.fixture
def gate(linear: Any) -> Any:
    """gate(least) of three dark images and a bright one, which the classifier tells apart."""
    classifier = linear(torch.stack((torch.zeros(16), torch.ones(16))), [0.0, -8.0])
    pixels = torch.tensor([70, 80, 90, 250], dtype=torch.uint8).view(4, 1, 1, 1).expand(-1, -1, 4, 4)
    data = SimpleNamespace(val=Images(pixels.clone(), torch.tensor([0, 0, 0, 1])))
    return lambda least: check_reconstruction(Latent(), classifier, Still(), data, least, "gci")


def test_names_a_generator_that_does_not_keep_the_decision(gate: Any) -> None:
    expected = r"gci: .* survives reconstruction by Still in 75.0 % of 4 images, expected 90 %"
    with pytest.raises(UserError, match=expected):
        gate(0.9)
    with pytest.warns(CounterfoilWarning, match="below 95 %"):
        assert gate(0.5) == 0.75


def test_a_generator_of_another_size_is_named(toy: Any, tiny_classifier: nn.Module) -> None:
    with pytest.raises(UserError, match=r"VAE cannot take the classifier's images of shape \(1, 16, 16\)"):
        check_reconstruction(Latent(), tiny_classifier, VAE(1, 32, width=4).double(), toy, 0.1, "gci")
