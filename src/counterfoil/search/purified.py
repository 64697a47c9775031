"""Pixels seen through a diffusion model, which takes away what it would not draw."""

from __future__ import annotations

from torch import Tensor

from counterfoil.core.bounds import Count, Share, Weight
from counterfoil.core.query import Query
from counterfoil.search.candidate import END, Moment, Variables
from counterfoil.search.denoising import denoised
from counterfoil.search.space import Pixels

NOISE = "noise of the filter"
"""Under which a query remembers the draws of its filter."""
STREAM = 5_000


class Purified(Pixels):
    """The input x noised to x_tau and denoised in a few steps: F(x). The noise of a query stays the same.

    Args:
        tau: share of the T noise levels that x is noised to.
        steps: from there to the image.
        spread: see `Space`.

    Source: Adversarial Counterfactual Visual Explanations (Jeanneret et al., 2023), arXiv 2303.09962.
    """

    held = ("x0",)

    def __init__(self, tau: Share = 0.2, steps: Count = 5, *, spread: Weight = 0.05) -> None:
        super().__init__(spread)
        self.tau = tau
        self.steps = steps

    def prepare(self, query: Query) -> None:
        """Draw the noise, once."""
        self._noise(query)

    def start(self, query: Query) -> Variables:
        """The factual, and beside it where it stays."""
        return {**super().start(query), "x0": query.factual}

    def decode(self, query: Query, variables: Variables, moment: Moment = END) -> Tensor:
        """F(x), in [0, 1]."""
        x, noise, generator = variables["x"], self._noise(query), query.generator
        levels = generator.levels(self.tau, self.steps)
        noisy = generator.noised(x, levels[0].expand(len(x)), noise[:, 0])
        return denoised(generator, noisy, levels, noise[:, 1:])

    def _noise(self, query: Query) -> Tensor:
        shape = (self.steps + 1, *query.factual.shape[1:])
        return query.remember(NOISE, lambda: query.randn(*shape, stream=STREAM))
