"""Counterfactuals by the reverse process of a diffusion model, guided at the images ahead of it."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.optim import SGD

from counterfoil.core.bounds import Count, Growth, Positive, Probability, Share, Weight
from counterfoil.core.generator import Denoises, require
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import L1, Denoising, Flip, Objective, Search, Stop, Tradeoff, flip_term


class DiME(OptimisedExplainer):
    """DiME: x_tau of the factual is denoised; a gradient at a clean image moves the mean of each step.

    x_s = mean(x_t) - d_t^2 g / sqrt(a_t) + d_t e,  g = d/dx_0 [c max(0, margin of t) + lambda mean |x - x_0|]

    x_0 is drawn from x_t by steps back without guidance; the first is the factual.

    Args:
        generator: a diffusion model.
        tau: share of the noise levels of the start.
        steps: from there to the counterfactual.
        ahead: largest number of steps from x_t to its x_0.
        scale: c, weight of the flip in the first round.
        growth, rounds: a query without a counterfactual tries again with c so many times larger.
        lambda_: weight of the distance, a mean over pixels and channels.
        flip: what pulls to the target: "margin" (see `Margin`), "cross_entropy", "hinge" or "squared_error".
        confidence, count: see `Explainer`; further counterfactuals come from other noise.

    Departures: a margin on the logits; no perceptual distance; the distance is taken at x_0; c grows by a
    factor (source: 8, 10, 15); a round counts as a success at `confidence`; x_0 in few steps, where the
    source takes all that are left.
    Source: Diffusion Models for Counterfactual Explanations (Jeanneret et al., 2022), arXiv 2203.15636.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        tau: Share = 0.4,
        steps: Count = 20,
        ahead: Count = 5,
        scale: Positive = 4.0,
        growth: Growth = 2.0,
        rounds: Count = 4,
        lambda_: Weight = 50.0,
        flip: Flip = "margin",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Denoises, method="dime")
        super().__init__(
            classifier,
            generator,
            space=Denoising(tau, steps, ahead=ahead),
            objective=Objective(flip_term(flip, "dime"), distance=L1(lambda_)),
            search=Search(
                steps, partial(SGD, lr=1.0), stop=Stop(0), tradeoff=Tradeoff(scale, growth, rounds)
            ),
            confidence=confidence,
            count=count,
        )
