from __future__ import annotations

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.generative.cvae import CVAE
from counterfoil.generative.over_code import OverCode


class Scaled(OverCode):
    """A network of one weight."""

    def __init__(self, generator: nn.Module | None) -> None:
        super().__init__(generator, method="mine")
        self.scale = nn.Parameter(torch.ones(()))


def test_the_generative_model_is_held_and_moves_along_but_is_not_kept(tiny_vae: nn.Module) -> None:
    net = Scaled(tiny_vae)
    assert net.latent == 4
    assert set(net.state_dict()) == {"scale"}
    assert not any(value.requires_grad for value in net.generator.parameters())
    assert next(net.float().generator.parameters()).dtype == torch.float32
    net.train()
    assert not net.generator.training


@pytest.mark.parametrize("generator", [None, nn.Linear(2, 2), CVAE(1, 16, 3, latent=4, width=4)])
def test_other_generators_are_refused(generator: nn.Module | None) -> None:
    with pytest.raises(UserError, match="explainer mine needs a generator"):
        Scaled(generator)
