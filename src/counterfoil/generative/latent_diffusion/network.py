"""A small denoising network over the code of a generative model, told the class or not."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Fraction, Pair
from counterfoil.core.errors import UserError
from counterfoil.generative.diffusion.network import Noising, Schedule, kept_of
from counterfoil.generative.over_code import OverCode

LEAST = 1e-6
"""Smallest deviation by which a coordinate of the code is divided; below it the coordinate is constant."""


class Block(nn.Module):
    """h + W_2 silu(W_1 norm(h) + V silu(c)), of vectors h and a condition c (B, width); starts as h.

    Args:
        width: of both.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        self.condition = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        """Vectors (B, width)."""
        inner = self.inner(self.norm(h)) + self.condition(nn.functional.silu(condition))
        moved: Tensor = h + self.outer(nn.functional.silu(inner))
        return moved


class LatentDiffusion(OverCode):
    """Diffusion over z = (E(x) - m) / s of a frozen generative model, m and s of the training images.

    loss = mean (e - e(z_t, t, c))^2,  z_t = sqrt(a_t) z + sqrt(1 - a_t) e,  t even over 1 ... T,  c the class
    of x, or with probability `dropped` none

    Args:
        generator: encodes to codes (B, Z) and decodes, without a condition; held frozen beside the network.
        classes: of the data's labels.
        width, layers: of the residual blocks.
        dropped: share of the codes that are shown without their class.
        timesteps: T.
        schedule: "linear" (betas from 1e-4 to 0.02 at T = 1000) or "cosine".

    Departures: a flat code and a small MLP, where the source has a UNet over a code with places.
    Source: High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022), arXiv
    2112.10752; dropped classes: Classifier-Free Diffusion Guidance (Ho and Salimans, 2022), arXiv 2207.12598.

    Raises:
        UserError: a generative model that cannot encode and decode, or wants a condition; an odd width.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        generator: nn.Module | None,
        classes: Count = 10,
        *,
        width: Pair = 256,
        layers: Count = 4,
        dropped: Fraction = 0.15,
        timesteps: Pair = 1000,
        schedule: Schedule = "linear",
    ) -> None:
        super().__init__(generator, method="ldce")
        if width % 2:
            raise UserError(f"latent_diffusion: generative.net.width={width}: expected an even number")
        self.classes = classes
        self.dropped = dropped
        self.noising = Noising(kept_of(schedule, timesteps))
        self.label = nn.Embedding(classes + 1, width)  # the last one is no class
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.first = nn.Linear(self.latent, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, self.latent))
        self.register_buffer("mean", torch.zeros(self.latent))
        self.register_buffer("deviation", torch.ones(self.latent))

    def measure(self, codes: Tensor) -> None:
        """Take m and s from codes E(x) (N, Z)."""
        self.mean.copy_(codes.mean(0))
        self.deviation.copy_(codes.std(0, unbiased=False).clamp(min=LEAST))

    def code(self, x: Tensor) -> Tensor:
        """z (B, Z) of images (B, C, H, W) in [0, 1]."""
        return self.standard(self.generator.encode(x))

    def standard(self, codes: Tensor) -> Tensor:
        """z (B, Z) of codes E(x)."""
        return (codes - self.mean.to(codes)) / self.deviation.to(codes)

    def image(self, z: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] of z (B, Z)."""
        drawn: Tensor = self.generator.decode(z * self.deviation.to(z) + self.mean.to(z))
        return drawn

    def levels(self, share: float, steps: int) -> Tensor:
        """See `Noising`."""
        return self.noising.levels(share, steps)

    def noised(self, z: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """z_t at t (B,), with standard normal noise (B, Z)."""
        signal, spread = self.noising.scales(t, z)
        return signal * z + spread * noise

    def forward(self, noisy: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """The noise (B, Z) that is told to be in z_t, given the class (B,), or without any."""
        label = torch.full_like(t, self.classes) if label is None else label
        condition = self.time(waves(t, self.label.embedding_dim).to(noisy)) + self.label(label)
        h = self.first(noisy)
        for block in self.blocks:
            h = block(h, condition)
        told: Tensor = self.last(h)
        return told

    def estimate(self, noisy: Tensor, told: Tensor, t: Tensor) -> Tensor:
        """z (B, Z), given z_t and the noise in it."""
        signal, spread = self.noising.scales(t, noisy)
        return (noisy - spread * told) / signal

    def back(self, noisy: Tensor, told: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """z_s, s < t, given z_t and the noise in it, which stays: a step without new noise.

        Source: Denoising Diffusion Implicit Models (Song, Meng and Ermon, 2021), arXiv 2010.02502.
        """
        return self.noised(self.estimate(noisy, told, t), s, told)

    @torch.no_grad()
    def sample(self, noise: Tensor, steps: int, label: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W) in [0, 1] that pure noise (N, Z) is drawn back to, of classes (N,) or any."""
        noisy, levels = noise, self.levels(1.0, steps)
        for now, then in pairwise(levels):
            t, s = now.expand(len(noise)), then.expand(len(noise))
            noisy = self.back(noisy, self(noisy, t, label), t, s)
        return self.image(noisy)

    def loss(self, z: Tensor, label: Tensor, draw: torch.Generator | None = None) -> dict[str, Tensor]:
        """The loss at z (B, Z) of classes (B,); without `draw` by draws of the global generator."""
        t = torch.randint(1, self.noising.timesteps + 1, (len(z),), generator=draw).to(z.device)
        noise = torch.randn(z.shape, generator=draw).to(z)
        hidden = (torch.rand(len(z), generator=draw) < self.dropped).to(z.device)
        told = self(self.noised(z, t, noise), t, label.masked_fill(hidden, self.classes))
        return {"loss": (noise - told).square().mean()}


def waves(t: Tensor, width: int) -> Tensor:
    """Sines and cosines of t (B,) at wavelengths from 2 pi to 2 pi * 10,000: (B, width), float64."""
    rate = torch.exp(-math.log(1e4) * torch.arange(width // 2, dtype=torch.float64) / max(width // 2 - 1, 1))
    angle = t.to(torch.float64)[:, None] * rate.to(t.device)
    return torch.cat((angle.sin(), angle.cos()), dim=1)
