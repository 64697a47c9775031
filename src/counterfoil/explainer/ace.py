"""Adversarial counterfactuals, attacked and cleaned through a diffusion model."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Positive, Probability, Share, Weight, Whole
from counterfoil.core.generator import Denoises, require
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import (
    L1,
    Changed,
    Flip,
    Moved,
    Objective,
    Purified,
    Repaint,
    Search,
    Stop,
    Tradeoff,
    flip_term,
)

TINY = 1e-12
"""Gradients far above this size move a pixel by a whole step."""


class ACE(OptimisedExplainer):
    """ACE: an adversarial attack on the classifier behind a diffusion model, then repainted where it changed.

    x_{k+1} = clamp(x_k - alpha sign d/dx_k [CE(f(F(x_k)), t) + lambda ||x_k - x||_p]),  x' = repainted F(x_k)

    F noises an image to x_tau and denoises it in a few steps, see `Purified`; for the end see `Repaint`.

    Args:
        generator: a diffusion model.
        tau: share of the noise levels of F and of the repainting.
        filter_steps: in which they denoise.
        lambda_: weight of the distance, a sum over pixels and channels.
        norm: its p, "l1" or "l2".
        alpha: length of a step of the attack.
        steps: of the attack, per round.
        rounds: a query without a counterfactual tries again with the flip weighed 10 times more.
        threshold, dilation: of the mask of the repainting, see `Changed`; threshold 0 repaints everything.
        patience: steps granted after the last nearer counterfactual; 0 stops at the first counterfactual,
            None runs all steps.
        flip: what pulls to the target: "cross_entropy", "margin" (see `Margin`), "hinge" or "squared_error".
        confidence, count: see `Explainer`.

    Departures: stops per query at `confidence`, where the source takes all steps; the noise of F is the same
    at each step; its estimates are clamped without losing their gradients; a repainted image that loses the
    target gives way to F(x_k); l2 is not squared; alpha, tau and dilation are for small images.
    Source: Adversarial Counterfactual Visual Explanations (Jeanneret et al., 2023), arXiv 2303.09962.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        tau: Share = 0.3,
        filter_steps: Count = 5,
        lambda_: Weight = 0.001,
        norm: Literal["l1", "l2"] = "l1",
        alpha: Positive = 0.1,
        steps: Count = 50,
        rounds: Count = 1,
        threshold: Share = 0.15,
        dilation: Count = 3,
        patience: Whole | None = 0,
        flip: Flip = "cross_entropy",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Denoises, method="ace")
        super().__init__(
            classifier,
            generator,
            space=Purified(tau, filter_steps),
            objective=Objective(
                flip_term(flip, "ace"),
                distance=L1(0.0),
                attack=Moved(lambda_, names=("x",), order=1 if norm == "l1" else 2),
            ),
            # without moments Adam's move is alpha g / (|g| + eps), the sign
            search=Search(
                steps,
                partial(Adam, lr=alpha, betas=(0.0, 0.0), eps=TINY),
                stop=Stop(patience),
                tradeoff=Tradeoff(rounds=rounds),
            ),
            confidence=confidence,
            count=count,
        )
        self.refine = Repaint(tau, filter_steps, changed=Changed(threshold, dilation))
