"""A deep image prior against the same network written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.generative.prior.dip import DIP, _noise


def test_a_dip_by_hand() -> None:
    """The second of two networks, a plain convolution at a time."""
    prior = DIP(channels=(3,), skip=2, noise=2)
    shape = (1, 8, 8)
    weights = {
        name: torch.randn(2, *size, dtype=torch.float64) for name, (size, _) in prior.weights(shape).items()
    }
    w = {name: value[1] for name, value in weights.items()}

    def block(x: Tensor, name: str, stride: int = 1) -> Tensor:
        y = F.conv2d(x, w[f"{name}_w"], stride=stride, padding=w[f"{name}_w"].shape[-1] // 2)
        return F.leaky_relu(F.instance_norm(y) + w[f"{name}_b"][:, None, None], 0.2)

    n = _noise(2, 8, 8, torch.float64, torch.device("cpu"))[None]
    up = F.interpolate(block(n, "down0", 2), size=(8, 8), mode="bilinear")
    expected = F.conv2d(block(torch.cat([up, block(n, "skip0")], 1), "up0"), w["out_w"], w["out_b"]).sigmoid()
    torch.testing.assert_close(prior.render(weights, shape)[1:], expected)


def test_blocks_run_from_the_output_to_the_coarsest_level() -> None:
    assert [block[0] for block in DIP(channels=(4, 8)).blocks] == ["out_w", "up0_w", "up1_w"]


def test_images_too_small_for_the_halvings() -> None:
    assert DIP(channels=(4, 4)).weights((1, 16, 16))
    with pytest.raises(UserError, match="16 x 16 pixels are too small for 3 halvings, which need 32"):
        DIP(channels=(4, 4, 4)).weights((1, 16, 16))
