from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.cyclegan import Translation
from counterfoil.generative.cyclegan.network import CycleGAN


class Painted(CycleGAN):
    """Draws every class in a grey of its own."""

    def draw(self, x: Tensor, place: int) -> Tensor:
        return torch.full_like(x, 0.25 * (place + 1))


def test_each_query_becomes_what_its_targets_generator_draws(linear: type[nn.Module]) -> None:
    classifier = linear(torch.randn(2, 256, generator=torch.Generator().manual_seed(0)).double())
    x = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(1)).double()
    target = 1 - classifier(x).argmax(1)
    cf = Translation(classifier, Painted(1, 16, 2, width=4, blocks=0))(x, target)
    assert cf.counterfactual.flatten(1).unique(dim=1)[:, 0].tolist() == (0.25 * (target + 1)).tolist()
    assert cf.strip is None


def test_another_generator_is_refused(linear: type[nn.Module]) -> None:
    with pytest.raises(UserError, match="needs a trained CycleGAN, found Identity"):
        Translation(linear(torch.zeros(2, 4)), nn.Identity())
