from __future__ import annotations

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.generative.cyclegan.network import Critic, CycleGAN


@pytest.fixture
def net() -> CycleGAN:
    torch.manual_seed(0)
    return CycleGAN(1, 16, 3, ("a", "b", "c"), targets=["c", 0], width=4, blocks=1)


def test_every_row_is_drawn_by_the_generator_of_its_target(net: CycleGAN) -> None:
    x = torch.rand(4, 1, 16, 16)
    found = net.translate(x, torch.tensor([2, 0, 0, 2]))
    assert net.targets == (2, 0)
    torch.testing.assert_close(found[[0, 3]], net.draw(x[[0, 3]], 0))
    torch.testing.assert_close(found[[1, 2]], net.draw(x[[1, 2]], 1))
    assert 0 <= found.min().item() <= found.max().item() <= 1


def test_lowered_precision_inside_gives_images_of_the_inputs_own(net: CycleGAN) -> None:
    x = torch.rand(2, 1, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        found = net.translate(x, torch.tensor([2, 0]))
    assert found.dtype == x.dtype


def test_a_class_without_a_generator_is_refused(net: CycleGAN) -> None:
    with pytest.raises(UserError, match="target class 1 is not among"):
        net.translate(torch.rand(2, 1, 16, 16), torch.tensor([2, 1]))


@pytest.mark.parametrize(
    ("options", "named"),
    [({"targets": [1]}, "at least two"), ({"targets": [1, 1]}, "at least two"), ({"size": 18}, "size")],
)
def test_bad_options_are_told(options: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named):
        CycleGAN(**{"classes": 3, "size": 16, **options})


def test_the_critic_scores_patches_whatever_the_size() -> None:
    assert Critic(3, 4)(torch.zeros(2, 3, 28, 28)).shape == (2, 1, 7, 7)
    assert Critic(1, 4)(torch.zeros(2, 1, 64, 64)).shape == (2, 1, 16, 16)
