"""A trained start for image priors: weights from which a few steps lead to any image of a data set."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, checks_options
from counterfoil.generative.prior.base import Prior
from counterfoil.generative.prior.inr import INR


@checks_options
class PriorStart(nn.Module):
    """The weights theta of one network of a prior; `explainer=disc` fits each query's network from there.

    Args:
        channels, size: of the images.
        prior: the prior; None: an INR at its defaults.
    """

    def __init__(self, channels: Count = 1, size: Count = 28, prior: Prior | None = None) -> None:
        super().__init__()
        self.prior = prior or INR()
        self.shape = (channels, size, size)
        drawn = {
            name: bound * (2 * torch.rand(shape) - 1)
            for name, (shape, bound) in self.prior.weights(self.shape).items()
        }
        self.theta = nn.ParameterDict(drawn)

    @property
    def start(self) -> Mapping[str, Tensor]:
        """The weights by name."""
        return dict(self.theta.items())

    def stacked(self, rows: int) -> dict[str, Tensor]:
        """Copies of the weights for `rows` networks, each (rows, ...)."""
        return {name: value.detach().expand(rows, *value.shape).clone() for name, value in self.theta.items()}
