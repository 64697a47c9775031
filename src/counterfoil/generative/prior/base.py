"""Untrained image priors: B networks of one shape as stacked weights; one call renders all B images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from counterfoil.core.bounds import Positive, Weight, Whole
from counterfoil.core.options import shows_options
from counterfoil.util.rows import take_rows

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""
Weights = dict[str, Tensor]
"""Weights of B networks by name, each with a leading B."""


@shows_options
class Prior(ABC):
    """x = g_theta(.), one network per image; none sees another's.

    Args:
        psnr: decibels at which the fit of an image ends.
        steps, lr: of Adam, for the fit.
        spread: size of the disturbance of a trained start for every further counterfactual.

    Raises:
        UserError: steps < 0 or lr <= 0.
    """

    name = "prior"

    def __init__(
        self, *, psnr: float = 30.0, steps: Whole = 500, lr: Positive = 4e-3, spread: Weight = 0.01
    ) -> None:
        self.psnr, self.steps, self.lr, self.spread = psnr, steps, lr, spread

    @abstractmethod
    def weights(self, shape: Shape) -> dict[str, tuple[tuple[int, ...], float]]:
        """Name, shape and bound of the uniform initial draw of each weight of one network.

        Raises:
            UserError: for images that the network cannot make.
        """

    @abstractmethod
    def render(self, weights: Mapping[str, Tensor], shape: Shape) -> Tensor:
        """Images (B, C, H, W) in [0, 1] of B networks, given weights (B, ...) by name."""

    @property
    @abstractmethod
    def blocks(self) -> tuple[tuple[str, ...], ...]:
        """Names of the weights, nearest to the output first: the order of a parameter curriculum."""

    def fit(
        self, images: Tensor, weights: Weights, *, steps: int | None = None, psnr: float | None = None
    ) -> Weights:
        """theta_b = argmin_theta mean (g_theta - x_b)^2 by Adam; an image ends where it reaches `psnr`.

        Args:
            images: (B, C, H, W) in [0, 1].
            weights: (B, ...) by name, where the fit starts; left as they are.
            steps, psnr: instead of the prior's own; images that stay below `psnr` end after `steps`.

        Returns:
            the weights, under `psnr` the decibels (B,) that they reach, and the `fit_steps` (B,) taken.
        """
        last = self.steps if steps is None else steps
        wanted = self.psnr if psnr is None else psnr
        shape: Shape = (images.shape[1], images.shape[2], images.shape[3])
        done = {name: value.detach().clone() for name, value in weights.items()}
        done |= {name: torch.zeros_like(images.flatten(1)[:, 0]) for name in ("psnr", "fit_steps")}
        places = torch.arange(len(images), device=images.device)
        variables = {name: value.detach().clone().requires_grad_() for name, value in weights.items()}
        optimizer = torch.optim.Adam(list(variables.values()), lr=self.lr)
        for step in range(last + 1):
            error = (self.render(variables, shape) - images).square().flatten(1).mean(1)
            reached = decibels(error.detach())
            leaving = reached >= wanted if step < last else torch.ones_like(places, dtype=torch.bool)
            if bool(leaving.any()):
                told = {**variables, "psnr": reached, "fit_steps": torch.full_like(reached, step)}
                for name, value in told.items():
                    done[name][places[leaving]] = value.detach()[leaving]
                if bool(leaving.all()):
                    break
            optimizer.zero_grad(set_to_none=True)
            error.sum().backward()
            optimizer.step()
            if bool(leaving.any()):
                variables = take_rows(optimizer, variables, ~leaving)
                places, images = places[~leaving], images[~leaving]
        return done


def decibels(error: Tensor) -> Tensor:
    """PSNR in dB of mean squared errors on a scale of 1; at most 120."""
    return -10 * error.clamp(min=1e-12).log10()
