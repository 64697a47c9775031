"""A class-conditional auto-encoder: the class reaches code and image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from counterfoil.generative.cvae import CVAE


def test_the_condition_reaches_code_and_image(x: Tensor, condition: Tensor) -> None:
    torch.manual_seed(0)
    net = CVAE(1, 16, 3, latent=4, width=4).double().eval()
    other = condition.roll(1, 0)
    assert not torch.allclose(net.encode(x, condition), net.encode(x, other))
    z = torch.zeros(6, 4, dtype=torch.float64)
    assert not torch.allclose(net.decode(z, condition), net.decode(z, other))
    torch.testing.assert_close(net.decode(z, condition)[0], net.decode(z, condition)[3])
    with pytest.raises(ValueError, match="condition"):
        net.encode(x)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 28, 32, 64, 96, 128])
def test_shapes(size: int, channels: int, encoded: Any) -> None:
    encoded(CVAE(channels, size, 4, latent=3, width=4), channels, size, torch.eye(4)[:2])


def test_every_parameter_learns(x: Tensor, condition: Tensor, unlearnt: Any) -> None:
    assert not unlearnt(CVAE(1, 16, 3, latent=4, width=4), x, condition)
