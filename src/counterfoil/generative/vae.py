"""Variational auto-encoder for images of 16 to 128 px, with or without a class condition."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Weight, Whole, checks_options
from counterfoil.core.errors import UserError


@checks_options
class VAE(nn.Module):
    """Gaussian code, convolutional encoder and mirrored decoder.

    loss = sum_pixels BCE(G(z), x) + beta * KL(q(z | x) || N(0, 1)) + gamma * TC(z),  z ~ q(z | x), averaged
    over the batch; TC(z) = KL(q(z) || prod_i q(z_i)), q(z) being the mean of q(z | x) over the batch

    Args:
        channels, size: of the images; `size` is halved while it is even and above 8.
        latent: Z, length of the code.
        width: channels of the first stage, doubled at each halving up to four times.
        beta: weight of the KL term.
        conditions: length of the condition; 0 for a model without one.
        gamma: weight of the total correlation, which sets the coordinates of the code apart; with beta 1 the
            beta of beta-TC-VAE less 1.

    Source: Auto-Encoding Variational Bayes (Kingma and Welling, 2014), arXiv 1312.6114; beta after beta-VAE
    (Higgins et al., 2017); gamma after Isolating Sources of Disentanglement in Variational Autoencoders (Chen
    et al., 2018), arXiv 1802.04942.
    """

    def __init__(
        self,
        channels: Count = 1,
        size: Count = 28,
        latent: Count = 16,
        width: Count = 32,
        beta: Weight = 1.0,
        conditions: Whole = 0,
        gamma: Weight = 0.0,
    ) -> None:
        super().__init__()
        halvings = _halvings(size)
        if not halvings:
            raise UserError(
                f"{type(self).__name__}: images of {size} px cannot be halved; "
                "choose an even data.size of 10 or more, such as 32"
            )
        widths = [width * min(2**i, 4) for i in range(halvings)]
        small = size // 2**halvings
        self.latent = latent
        self.beta = beta
        self.gamma = gamma
        self.classes = conditions
        self.shape = (widths[-1], small, small)
        self.encoder = nn.Sequential(*_down([channels, *widths]), nn.Flatten())
        self.to_code = nn.Linear(math.prod(self.shape) + conditions, 2 * latent)
        self.from_code = nn.Sequential(nn.Linear(latent + conditions, math.prod(self.shape)), nn.ReLU())
        self.decoder = nn.Sequential(*_up([*reversed(widths)]), nn.Conv2d(widths[0], channels, 3, padding=1))

    def posterior(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, Z) of q(z | x) for images in [0, 1]."""
        mean, log_variance = self.to_code(self._join(self.encoder(2 * x - 1), condition)).chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 10)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The posterior mean (B, Z)."""
        return self.posterior(x, condition)[0]

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in (0, 1)."""
        return self._logits(z, condition).sigmoid()

    def loss(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Terms of the objective, in nats per image; `loss` is their sum. Draws by the global generator."""
        mean, log_variance = self.posterior(x, condition)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        logits = self._logits(z, condition)
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / len(x)
        terms = {"loss": reconstruction + self.beta * kl, "reconstruction": reconstruction, "kl": kl}
        if self.gamma:
            terms["tc"] = total_correlation(z, mean, log_variance)
            terms["loss"] = terms["loss"] + self.gamma * terms["tc"]
        return terms

    def _logits(self, z: Tensor, condition: Tensor | None) -> Tensor:
        logits: Tensor = self.decoder(self.from_code(self._join(z, condition)).unflatten(1, self.shape))
        return logits

    def _join(self, h: Tensor, condition: Tensor | None) -> Tensor:
        if not self.classes:
            return h
        if condition is None:
            raise ValueError("a conditional VAE needs a condition (B, classes)")
        return torch.cat((h, condition.to(h)), dim=1)


def total_correlation(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q(z) || prod_i q(z_i)) of codes (B, Z) drawn from N(mean, variance), with q(z) their mixture.

    Up to a constant that gradients do not see, the estimate by minibatch-weighted sampling.
    """
    off = (z[:, None] - mean[None]).square() / log_variance.exp()[None]
    density = -0.5 * (off + log_variance[None] + math.log(2 * math.pi))
    joint = density.sum(2).logsumexp(1) - math.log(len(z))
    each = (density.logsumexp(1) - math.log(len(z))).sum(1)
    return (joint - each).mean()


def _halvings(size: int) -> int:
    count = 0
    while size % 2 == 0 and size > 8:
        size, count = size // 2, count + 1
    return count


def _down(widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
    return layers


def _up(widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for a, b in zip(widths, [*widths[1:], widths[-1]], strict=True):
        layers += [nn.ConvTranspose2d(a, b, 4, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
    return layers
