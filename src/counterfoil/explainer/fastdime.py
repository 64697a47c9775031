"""Counterfactuals by the reverse process of a diffusion model, guided at its own estimates inside a mask."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.optim import SGD

from counterfoil.core.bounds import Count, Growth, Positive, Probability, Share, Weight
from counterfoil.core.generator import Denoises, require
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import L1, Changed, Denoising, Flip, Objective, Search, Stop, Tradeoff, flip_term


class FastDiME(OptimisedExplainer):
    """FastDiME: as DiME, with gradients at the estimate of the clean image, and a mask found on the way.

    x_s = mean(x_t) - d_t^2 g / sqrt(a_t) + d_t e,  g = d/dx_0 [c max(0, margin of t) + lambda mean |x - x_0|]

    x_0 is what the network estimates from x_t. From `warm` of the steps on, x_0 and x_s are kept where x_0
    differs from the factual, see `Changed`, and replaced by the factual and its noised form elsewhere.

    Args:
        generator: a diffusion model.
        tau: share of the noise levels of the start.
        steps: from there to the counterfactual.
        scale: c, weight of the flip in the first round.
        growth, rounds: a query without a counterfactual tries again with c so many times larger.
        lambda_: weight of the distance, a mean over pixels and channels.
        threshold, dilation: of the mask, see `Changed`; threshold 0 is no mask.
        warm: share of the steps without a mask.
        flip: what pulls to the target: "margin" (see `Margin`), "cross_entropy", "hinge" or "squared_error".
        confidence, count: see `Explainer`; further counterfactuals come from other noise.

    Departures: a margin on the logits; no perceptual distance; the distance is taken at x_0; c grows by a
    factor (source: 8, 10, 15); a round counts as a success at `confidence`; fewer steps, and a smaller
    dilation, for small images.
    Source: Fast Diffusion-Based Counterfactuals for Shortcut Removal and Generation (Weng et al., 2023),
    arXiv 2312.14223.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        tau: Share = 0.4,
        steps: Count = 40,
        scale: Positive = 2.0,
        growth: Growth = 2.0,
        rounds: Count = 5,
        lambda_: Weight = 50.0,
        threshold: Share = 0.15,
        dilation: Count = 3,
        warm: Share = 0.5,
        flip: Flip = "margin",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Denoises, method="fastdime")
        super().__init__(
            classifier,
            generator,
            space=Denoising(tau, steps, changed=Changed(threshold, dilation), warm=warm),
            objective=Objective(flip_term(flip, "fastdime"), distance=L1(lambda_)),
            search=Search(
                steps, partial(SGD, lr=1.0), stop=Stop(0), tradeoff=Tradeoff(scale, growth, rounds)
            ),
            confidence=confidence,
            count=count,
        )
