"""Terms of inversion in pixel space: total variation, norm, statistics of batch norms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Weight
from counterfoil.core.query import Query
from counterfoil.core.taps import INPUT
from counterfoil.search.candidate import Candidate
from counterfoil.search.term import Schedule, Term


class TotalVariation(Term):
    """R_TV = sum_ij sqrt((x_{i,j+1} - x_{i,j})^2 + (x_{i+1,j} - x_{i,j})^2), over channels too.

    A step over the border is 0.
    """

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """The variation (B,) of the candidate, >= 0; 0 for a plain image."""
        x = candidate.decoded
        right, down = torch.zeros_like(x), torch.zeros_like(x)
        right[..., :-1] = x[..., 1:] - x[..., :-1]
        down[..., :-1, :] = x[..., 1:, :] - x[..., :-1, :]
        return length(right.square() + down.square()).flatten(1).sum(1)


class Norm(Term):
    """R_l2 = sqrt(sum_ij x_ij^2), over channels too."""

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """The Euclidean norm (B,) of the candidate."""
        return length(candidate.decoded.square().flatten(1).sum(1))


class BatchStatistics(Term):
    """sum_l ||mu_l(x') - m_l||_2 + ||var_l(x') - v_l||_2.

    It holds the activations that go into each batch norm against its running statistics.

    Args:
        weight: see `Term`.
        first: factor of the first batch norm.

    Departures: mean and variance over the positions of a single image instead of over a batch, so that images
    stay independent.
    Source: Dreaming to Distill: Data-free Knowledge Transfer via DeepInversion (Yin et al., 2020), arXiv
    1912.08795.
    """

    def __init__(self, weight: Weight | Schedule = 1.0, *, first: Weight = 10.0) -> None:
        super().__init__(weight)
        self.first = first

    def layers(self, classifier: nn.Module) -> tuple[str, ...]:
        """What goes into each batch norm that has running statistics."""
        return tuple(f"{name}{INPUT}" for name in batch_norms(classifier))

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """The sum of distances (B,), >= 0; 0 for a classifier without batch norm."""
        total = torch.zeros_like(candidate.logits[:, 0])
        for i, (name, wanted) in enumerate(batch_norms(query.classifier).items()):
            variance, mean = torch.var_mean(
                candidate.features[f"{name}{INPUT}"].flatten(2), dim=2, correction=0
            )
            apart = [
                length((found - known).square().sum(1))
                for found, known in zip((mean, variance), wanted, strict=True)
            ]
            total = total + (1.0 if i else self.first) * (apart[0] + apart[1])
        return total


def batch_norms(classifier: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """Running mean and variance of the batch norms over images that hold them, by name."""
    net = getattr(classifier, "net", classifier)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name, module in net.named_modules() if isinstance(net, nn.Module) else ():
        if (
            isinstance(module, nn.BatchNorm2d)
            and module.running_mean is not None
            and module.running_var is not None
        ):
            found[name] = (module.running_mean, module.running_var)
    return found


def length(squares: Tensor) -> Tensor:
    """sqrt, with a finite gradient at 0."""
    return (squares + 1e-12).sqrt() - 1e-6
