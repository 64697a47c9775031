"""One auto-encoder per class and one over all classes, for IM1 and IM2."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, checks_options
from counterfoil.generative.vae import VAE


@checks_options
class ClassAutoencoders(nn.Module):
    """K + 1 small auto-encoders trained at once; expert k sees class k alone, the last one sees every class.

    loss = mean_pixels (AE_y(x) - x)^2 + mean_pixels (AE_all(x) - x)^2

    Args:
        channels, size, classes: of the data.
        latent: length of each code.
        width: channels of the first stage of each expert.

    Source of their use: Interpretable Counterfactual Explanations Guided by Prototypes (Van Looveren and
    Klaise, 2019), arXiv 1907.02584.
    """

    def __init__(
        self, channels: Count = 1, size: Count = 28, classes: Count = 10, latent: Count = 12, width: Count = 8
    ) -> None:
        super().__init__()
        self.experts = nn.ModuleList(VAE(channels, size, latent, width) for _ in range(classes + 1))

    def reconstruct(self, x: Tensor, which: Tensor) -> Tensor:
        """Each image (B, C, H, W) in [0, 1] through its expert `which` (B,); -1: the one over all."""
        out = torch.empty_like(x)
        for k in which.unique().tolist():
            rows = which == k
            out[rows] = self._expert(k, x[rows])
        return out

    def loss(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Squared errors of the class experts and of the expert over all; `loss` is their sum."""
        own = self._squared_error(x, labels)
        everything = self._squared_error(x, torch.full_like(labels, -1))
        return {"loss": own + everything, "own": own, "all": everything}

    def _squared_error(self, x: Tensor, which: Tensor) -> Tensor:
        total = x.new_zeros(())
        for k in which.unique().tolist():
            rows = which == k
            total = total + (self._expert(k, x[rows]) - x[rows]).square().sum()
        return total / x.numel()

    def _expert(self, k: int, x: Tensor) -> Tensor:
        expert = self.experts[k]
        image: Tensor = expert.decode(expert.encode(x))  # type: ignore[operator]
        return image
