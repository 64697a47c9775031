"""A counterfactual drawn again by a diffusion model where it has changed; the rest is the factual."""

from __future__ import annotations

import torch
from torch import Tensor

from counterfoil.core.bounds import Count, Share
from counterfoil.core.query import Query
from counterfoil.search.denoising import Changed
from counterfoil.search.refine import Refine

STREAM = 6_000


class Repaint(Refine):
    """x_tau of the counterfactual, drawn back to x_0; outside of a mask x_t is that of the factual.

    x_t <- m x_t + (1 - m) noised(x, t) at each step,  m = 1 where the counterfactual differs, see `Changed`

    One that does not reach the target then stays as it was.

    Args:
        tau: share of the T noise levels of the start.
        steps: from there to the image.
        changed: where the counterfactual counts as different.

    Source: the last step of Adversarial Counterfactual Visual Explanations (Jeanneret et al., 2023), arXiv
    2303.09962, after RePaint (Lugmayr et al., 2022), arXiv 2201.09865.
    """

    def __init__(self, tau: Share = 0.2, steps: Count = 5, *, changed: Changed | None = None) -> None:
        self.tau = tau
        self.steps = steps
        self.changed = Changed() if changed is None else changed

    def improve(self, query: Query, image: Tensor) -> tuple[Tensor, Tensor]:
        """The images drawn again; one is shown to the classifier for each."""
        drawn = query.keep(self._drawn(query, image, self.changed(image, query.factual)))
        kept = query.reached(query.classifier(drawn))
        return torch.where(kept.view(-1, 1, 1, 1), drawn, image), torch.ones_like(query.target)

    def _drawn(self, query: Query, image: Tensor, mask: Tensor) -> Tensor:
        generator, x = query.generator, query.factual
        levels = generator.levels(self.tau, self.steps)
        shape = (2 * self.steps + 1, *x.shape[1:])
        noise = query.randn(*shape, stream=STREAM)
        noisy = generator.noised(image, levels[0].expand(len(x)), noise[:, 0])
        for step in range(self.steps):
            t, s = (levels[at].expand(len(x)) for at in (step, step + 1))
            noisy = torch.where(mask, noisy, generator.noised(x, t, noise[:, 1 + step]))
            mean, deviation = generator.before(noisy, generator.clean(noisy, t).clamp(0, 1), t, s)
            noisy = mean + deviation * noise[:, 1 + self.steps + step]
        return torch.where(mask, (noisy + 1) / 2, x).clamp(0, 1)
