"""A classifier by distance: one kernel per class around its centroid."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.classifier.cnn import CNN
from counterfoil.core.bounds import Count, Positive
from counterfoil.util import together


class DUQ(CNN):
    """The CNN with one kernel per class as its head.

    K_c(x) = exp(-d_c(x)),  d_c(x) = 1/m ||W_c h(x) - e_c||^2 / (2 sigma^2),  logits = -d_c = log K_c

    As for every classifier, probabilities and so the confidence that a counterfactual reaches are a softmax
    of the logits: softmax(-d)_c = K_c / sum_k K_k. That is how much nearer class c is than the others, and
    can be 1 far from all centroids. The paper's certainty is K_c itself (`metric=target_kernel`).

    Args:
        channels: input channels C.
        classes: outputs K.
        width: channels of the first stage; each further stage doubles them.
        stages: number of halvings.
        embedding: m.
        sigma: width of the kernels, > 0.

    Departures: logits are log-kernels, as raw kernels of a confident input have no gradient towards another
    class; their softmax stands for a probability.
    Source: Uncertainty Estimation Using a Single Deep Deterministic Neural Network (van Amersfoort et al.,
    2020), arXiv 2003.02037
    """

    kernel = True
    """Outputs are logarithms of kernels: -max of them is a distance to the data."""

    def __init__(
        self,
        channels: Count = 1,
        classes: Count = 10,
        width: Count = 32,
        stages: Count = 3,
        embedding: Count = 64,
        sigma: Positive = 0.3,
    ) -> None:
        super().__init__(channels, classes, width, stages)
        self.head = Kernels(width * 2 ** (stages - 1), classes, embedding, sigma)


class Kernels(nn.Module):
    """-d_c(h) of features h (B, D), in float32 whatever the precision around.

    Args:
        inputs: D.
        classes: K.
        embedding: m.
        sigma: width, > 0.
    """

    number: Tensor
    total: Tensor

    def __init__(self, inputs: int, classes: Count, embedding: Count, sigma: Positive) -> None:
        super().__init__()
        self.sigma = sigma
        self.weight = nn.Parameter(torch.randn(classes, embedding, inputs) * (2 / inputs) ** 0.5)
        self.register_buffer("number", torch.ones(classes))
        self.register_buffer("total", 0.05 * torch.randn(classes, embedding))

    @property
    def centroids(self) -> Tensor:
        """e_c (K, m)."""
        return self.total / self.number[:, None]

    def embed(self, h: Tensor) -> Tensor:
        """W_c h of every class: (B, K, m)."""
        return torch.einsum("kmd,bd->bkm", self.weight, h)

    def forward(self, h: Tensor) -> Tensor:
        """Logits -d_c (B, K), at most 0."""
        with torch.autocast(h.device.type, enabled=False):
            apart = self.embed(h.to(self.weight.dtype)) - self.centroids
            return -apart.square().mean(2) / (2 * self.sigma**2)

    @torch.no_grad()
    def update_(self, h: Tensor, labels: Tensor, gamma: float) -> None:
        """Move the centroids towards features h (B, D) with labels (B,), of all processes at a training.

        N_c <- gamma N_c + (1 - gamma) n_c,  m_c <- gamma m_c + (1 - gamma) sum_{i: y_i = c} W_c h_i,
        e_c = m_c / N_c
        """
        with torch.autocast(h.device.type, enabled=False):
            own = self.embed(h.to(self.weight.dtype))[torch.arange(len(h), device=h.device), labels]
            seen = together.summed(labels.bincount(minlength=len(self.number)).to(self.number))
            moved = together.summed(torch.zeros_like(self.total).index_add_(0, labels, own))
            self.number.mul_(gamma).add_(seen, alpha=1 - gamma)
            self.total.mul_(gamma).add_(moved, alpha=1 - gamma)
