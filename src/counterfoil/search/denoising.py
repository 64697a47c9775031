"""The way back through a diffusion model, steered by the classifier."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.core.bounds import Count, Share, Whole
from counterfoil.core.domain import Continuous
from counterfoil.core.options import shows_options
from counterfoil.core.query import Query
from counterfoil.search.candidate import END, Moment, Variables
from counterfoil.search.space import Space

START, AROUND, WITHIN, AHEAD = 1_000, 2_000, 3_000, 4_000
"""Streams of draws: of x_tau, of the factual outside a mask, of the way back, and of the ways ahead of it."""


@shows_options
class Changed:
    """Where an image differs from the factual: change > threshold of the largest change, widened.

    Args:
        threshold: share of the image's largest change, in the sum over channels.
        dilation: side in pixels of the square by which the places are widened; odd.
    """

    def __init__(self, threshold: Share = 0.15, dilation: Count = 3) -> None:
        self.threshold = threshold
        self.dilation = dilation + 1 - dilation % 2

    def __call__(self, image: Tensor, factual: Tensor) -> Tensor:
        """bool (B, 1, H, W), True where images (B, C, H, W) have changed."""
        change = (image - factual).abs().sum(1, keepdim=True)
        wide = F.max_pool2d(change, self.dilation, stride=1, padding=self.dilation // 2)
        largest = change.flatten(1).amax(1).clamp(min=1e-12).view(-1, 1, 1, 1)
        return ~(wide < self.threshold * largest)  # what is not a number has changed, and will be told


class WayBack(Space):
    """From x_tau to x_0 in as many steps as the search has; its gradient steps, of size 1, push each of them.

    The last x_0 alone may be a counterfactual.

    Args:
        tau: share of the T noise levels of the start.
        steps: from there to the image.
    """

    def __init__(self, tau: Share, steps: Count) -> None:
        super().__init__()
        self.tau = tau
        self.steps = steps

    def gradable(self, query: Query, moment: Moment) -> Tensor | None:
        """The last image alone."""
        last = torch.as_tensor(moment.step >= self.steps, device=query.target.device)
        return last.expand(len(query))

    def project_(self, query: Query, variables: Variables) -> None:
        """Go a step back from where the variables that are not held have moved."""
        for step, rows in together(variables["step"]):
            if step < self.steps:
                part = query if len(rows) == len(query) else query[rows]
                now = {name: value.detach()[rows] for name, value in variables.items()}
                for name, value in self.step(part, now, step).items():
                    variables[name].index_copy_(0, rows, value)
        for name in variables.keys() - set(self.held):
            variables[name].zero_()
        variables["step"].add_(1).clamp_(max=self.steps)

    @abstractmethod
    def step(self, query: Query, now: Variables, step: int) -> Variables:
        """Those of the held variables that a step moves, after it."""

    def levels(self, query: Query) -> Tensor:
        """t before each step, and 0: (steps + 1,) int64."""
        levels: Tensor = query.generator.levels(self.tau, self.steps)
        return levels


class Denoising(WayBack):
    """x_tau of the factual, drawn back to x_0 step by step; a gradient step of size 1 moves each mean.

    x_s = mean(x_t) - d_t^2 g / sqrt(a_t) + d_t e,   g = the objective's gradient at the image of x_t

    The image of x_t is its clean estimate, or with `ahead` what a way back without steering ends at.

    Args:
        tau, steps: see `WayBack`.
        ahead: largest number of steps by which the image of x_t is drawn; 0: it is the estimate.
        changed: outside of these places x_t is that of the factual; None: it is free everywhere.
        warm: share of the steps before that holds.

    Source: Diffusion Models for Counterfactual Explanations (Jeanneret et al., 2022), arXiv 2203.15636; the
    estimate and the mask: Fast Diffusion-Based Counterfactuals for Shortcut Removal and Generation (Weng et
    al., 2023), arXiv 2312.14223.
    """

    held = ("noisy", "clean", "image", "step")
    inputs = Continuous

    def __init__(
        self,
        tau: Share = 0.3,
        steps: Count = 60,
        *,
        ahead: Whole = 0,
        changed: Changed | None = None,
        warm: Share = 0.5,
    ) -> None:
        super().__init__(tau, steps)
        self.ahead = ahead
        self.changed = changed
        self.warm = warm

    @torch.no_grad()
    def start(self, query: Query) -> Variables:
        """x_tau, and no push yet; with `ahead` its image is the factual."""
        x, levels = query.factual, self.levels(query)
        t = levels[0].expand(len(x))
        noisy = query.generator.noised(x, t, query.randn(*x.shape[1:], stream=START))
        clean = query.generator.clean(noisy, t).clamp(0, 1)
        image = x if self.ahead else self._within(query, clean, 0)
        step = x.new_zeros(len(x))
        return {"push": torch.zeros_like(x), "noisy": noisy, "clean": clean, "image": image, "step": step}

    def decode(self, query: Query, variables: Variables, moment: Moment = END) -> Tensor:
        """The image of x_t, in [0, 1], moved by the push."""
        t = self.levels(query)[variables["step"].detach().long()]
        moved = variables["image"] + variables["push"] / (2 * query.generator.signal(t).to(variables["push"]))
        return within(moved, 0, 1)

    def step(self, query: Query, now: Variables, step: int) -> Variables:
        """x_s and its images, from x_t at a step."""
        x, levels, generator = query.factual, self.levels(query), query.generator
        t, s = levels[step].expand(len(x)), levels[step + 1].expand(len(x))
        mean, deviation = generator.before(now["noisy"], now["clean"], t, s)
        drawn = query.randn(*x.shape[1:], stream=WITHIN + step)
        noisy = mean + deviation.square() * now["push"] + deviation * drawn
        if self.changed is not None and step >= self.warm * self.steps:
            around = generator.noised(x, s, query.randn(*x.shape[1:], stream=AROUND + step))
            noisy = torch.where(self.changed(now["clean"], x), noisy, around)
        if step + 1 == self.steps:
            clean = image = ((noisy + 1) / 2).clamp(0, 1)
        else:
            clean = generator.clean(noisy, s).clamp(0, 1)
            image = self._within(query, clean, step + 1)
            if self.ahead:
                way = thinned(levels[step + 1 :], self.ahead)
                noise = query.randn(len(way) - 1, *x.shape[1:], stream=AHEAD + step)
                image = denoised(generator, noisy, way, noise).clamp(0, 1)
        return {"noisy": noisy, "clean": clean, "image": image}

    def _within(self, query: Query, clean: Tensor, step: int) -> Tensor:
        """The clean estimate where the image has changed, the factual elsewhere."""
        if self.changed is None or step < self.warm * self.steps:
            return clean
        return torch.where(self.changed(clean, query.factual), clean, query.factual)


def denoised(generator: Any, noisy: Tensor, levels: Tensor, noise: Tensor | None = None) -> Tensor:
    """The images (B, C, H, W), near [0, 1], that x_t is drawn back to; differentiable in x_t.

    Args:
        generator: see `Denoises`.
        noisy: x_t at the first of the levels.
        levels: t, falling to 0, (S + 1,).
        noise: standard normal draws of the steps (B, S, C, H, W); None: each step goes to its mean.
    """
    for step, (now, then) in enumerate(pairwise(levels)):
        t, s = now.expand(len(noisy)), then.expand(len(noisy))
        clean = within(generator.clean(noisy, t), 0, 1)
        noisy, deviation = generator.before(noisy, clean, t, s)
        noisy = noisy if noise is None else noisy + deviation * noise[:, step]
    return (noisy + 1) / 2


def thinned(levels: Tensor, most: int) -> Tensor:
    """The first and the last of the levels, and as many in between as make `most` steps."""
    steps = min(most, len(levels) - 1)
    chosen = torch.linspace(0, len(levels) - 1, steps + 1, dtype=torch.float64).round().long()
    return levels[chosen.to(levels.device)]


def within(x: Tensor, low: float, high: float) -> Tensor:
    """x clamped, with the gradient of x itself: white and black would have none."""
    return x + (x.clamp(low, high) - x).detach()


def together(step: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each number of steps (B,) with the rows (int64) that have made so many."""
    for value in step.detach().unique().tolist():
        yield int(value), (step.detach() == value).nonzero()[:, 0]
