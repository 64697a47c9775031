"""Class-conditional variational auto-encoder: the class is an input, the code holds what is left."""

from __future__ import annotations

from counterfoil.core.bounds import Count, Weight
from counterfoil.generative.vae import VAE


class CVAE(VAE):
    """A VAE whose encoder and decoder see the class; changing the class under a fixed code edits the image.

    loss = sum_pixels BCE(G(z, y), x) + beta * KL(q(z | x, y) || N(0, 1))

    Args:
        classes: K, length of the one-hot condition; others as for `VAE`.

    Source: Learning Structured Output Representation using Deep Conditional Generative Models (Sohn et al.,
    NeurIPS 2015).
    """

    def __init__(
        self,
        channels: Count = 1,
        size: Count = 28,
        classes: Count = 10,
        latent: Count = 16,
        width: Count = 32,
        beta: Weight = 1.0,
    ) -> None:
        super().__init__(channels, size, latent, width, beta, classes)
