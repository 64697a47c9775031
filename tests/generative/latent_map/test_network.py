from __future__ import annotations

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.generative.cvae import CVAE
from counterfoil.generative.latent_map.network import LatentMaps


@pytest.fixture
def maps(tiny_vae: nn.Module) -> LatentMaps:
    torch.manual_seed(0)
    return LatentMaps(tiny_vae, 3, width=5).double()


@pytest.mark.parametrize("norm", [False, True])
def test_each_row_takes_the_map_of_its_pair(maps: LatentMaps, norm: bool) -> None:
    maps.norm = norm
    z, source, target = torch.randn(4, 4).double(), torch.tensor([0, 1, 2, 0]), torch.tensor([1, 0, 0, 2])
    found = maps.step(z, source, target)
    for row in range(4):
        pair = 3 * int(source[row]) + int(target[row])
        hidden = (z[row] @ maps.inner[pair] + maps.inner_bias[pair]).clamp(min=0)
        wanted = z[row] + hidden @ maps.outer[pair] + maps.outer_bias[pair]
        wanted = wanted * z[row].norm() / wanted.norm() if norm else wanted
        torch.testing.assert_close(found[row], wanted)


def test_a_path_is_step_after_step(maps: LatentMaps) -> None:
    z, source, target = torch.randn(2, 4).double(), torch.tensor([0, 1]), torch.tensor([2, 2])
    codes = maps.path(z, source, target, 2)
    assert codes.shape == (2, 3, 4)
    torch.testing.assert_close(codes[:, 0], z)
    torch.testing.assert_close(codes[:, 2], maps.step(maps.step(z, source, target), source, target))


def test_maps_alone_are_kept(maps: LatentMaps) -> None:
    assert set(maps.state_dict()) == {"inner", "inner_bias", "outer", "outer_bias", "classifier"}


def test_another_generator_is_refused_by_the_name_of_the_method() -> None:
    with pytest.raises(UserError, match="explainer c3lt needs a generator"):
        LatentMaps(CVAE(1, 16, 3, latent=4, width=4), 3)
