"""Variational auto-encoders, with and without a class: their loss by hand, their shapes, their parts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.generative.vae import VAE, total_correlation


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 28, 32, 64, 96, 128])
def test_shapes(size: int, channels: int, encoded: Any) -> None:
    encoded(VAE(channels, size, latent=3, width=4), channels, size)


@pytest.mark.parametrize("size", [7, 8, 27, 33])
def test_sizes_that_cannot_be_halved_are_refused(size: int) -> None:
    with pytest.raises(UserError, match=rf"{size} px.*data\.size"):
        VAE(1, size)


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_loss_by_hand(x: Tensor, beta: float) -> None:
    """Binary cross-entropy summed over pixels, KL summed over the code; both averaged over images."""
    torch.manual_seed(0)
    net = VAE(1, 16, latent=4, width=4, beta=beta).double().eval()
    torch.manual_seed(5)
    terms = net.loss(x)
    torch.manual_seed(5)
    mean, log_variance = net.posterior(x)
    z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
    image = net.decode(z)
    each = (
        x.flatten(1) * image.flatten(1).log() + (1 - x.flatten(1)) * (1 - image.flatten(1)).log()
    ).tolist()
    cross_entropy = -sum(map(sum, each)) / 6
    kl = (
        sum(
            math.log(1 / math.exp(v / 2)) + (math.exp(v) + m**2) / 2 - 0.5
            for m, v in zip(mean.flatten().tolist(), log_variance.flatten().tolist(), strict=True)
        )
        / 6
    )
    assert terms["reconstruction"].item() == pytest.approx(cross_entropy)
    assert terms["kl"].item() == pytest.approx(kl)
    assert terms["loss"].item() == pytest.approx(cross_entropy + beta * kl)


def test_kl_is_that_of_two_gaussians(x: Tensor) -> None:
    torch.manual_seed(0)
    net = VAE(1, 16, latent=4, width=4).double().eval()
    mean, log_variance = net.posterior(x)
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    kl = (
        torch.distributions.kl_divergence(
            posterior, torch.distributions.Normal(torch.zeros_like(mean), 1.0)
        ).sum()
        / 6
    )
    torch.testing.assert_close(net.loss(x)["kl"], kl)


def test_encode_is_the_mean_and_deterministic(tiny_vae: Any, x: Tensor) -> None:
    assert torch.equal(tiny_vae.encode(x), tiny_vae.posterior(x)[0])
    assert torch.equal(tiny_vae.encode(x), tiny_vae.encode(x))


def test_log_variance_is_bounded(x: Tensor) -> None:
    net = VAE(1, 16, latent=4, width=4).double().eval()
    with torch.no_grad():
        net.to_code.bias.fill_(1e4)
    assert net.posterior(x)[1].max() == 10
    assert net.loss(x)["loss"].isfinite()


def test_every_parameter_learns(x: Tensor, unlearnt: Any) -> None:
    assert not unlearnt(VAE(1, 16, latent=4, width=4), x)


def test_a_plain_vae_ignores_a_condition(tiny_vae: Any, x: Tensor, condition: Tensor) -> None:
    assert torch.equal(tiny_vae.encode(x, condition), tiny_vae.encode(x))


def test_a_batch_is_independent_once_evaluated(tiny_vae: Any, x: Tensor) -> None:
    z = tiny_vae.encode(x)
    torch.testing.assert_close(tiny_vae.encode(x[2:3]), z[2:3], rtol=0, atol=1e-12)
    torch.testing.assert_close(tiny_vae.decode(z[2:3]), tiny_vae.decode(z)[2:3], rtol=0, atol=1e-12)


def test_total_correlation_is_that_of_the_batch_as_a_mixture() -> None:
    """Two coordinates that always agree share one bit; two that do not share none."""
    corners = torch.tensor([[-9.0, -9.0], [9.0, 9.0]])
    far = torch.full((2, 2), -8.0)
    assert total_correlation(corners, corners, far).item() == pytest.approx(math.log(2), abs=1e-4)
    four = torch.tensor([[-9.0, -9.0], [-9.0, 9.0], [9.0, -9.0], [9.0, 9.0]])
    assert total_correlation(four, four, torch.full((4, 2), -8.0)).item() == pytest.approx(0.0, abs=1e-4)


def test_a_weight_on_the_total_correlation_is_a_term_of_the_loss(x: Tensor) -> None:
    torch.manual_seed(0)
    vae = VAE(1, 16, latent=4, width=4, gamma=2.0).double()
    terms = vae.loss(x)
    total = terms["reconstruction"] + terms["kl"] + 2 * terms["tc"]
    torch.testing.assert_close(terms["loss"], total)
    assert "tc" not in VAE(1, 16, latent=4, width=4).double().loss(x)
