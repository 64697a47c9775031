"""The adversarial reference: projected gradient descent on pixels."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Positive, Probability, Share, Whole
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import L1, Ball, Flip, Objective, Search, Stop, flip_term

TINY = 1e-12
"""Gradients far above this size move a pixel by a whole step."""


class PGD(OptimisedExplainer):
    """PGD: a targeted adversarial example within a ball around the query.

    x_{k+1} = clamp(x_k - alpha sign(d CE(f(x_k), t) / dx_k)),  within |x' - x| <= epsilon and [0, 1]

    Args:
        epsilon: radius of the ball in the largest change of a pixel.
        alpha: length of a step.
        steps: largest number of steps.
        patience: steps granted after the last nearer counterfactual; 0 stops at the first counterfactual,
            None runs all steps.
        flip: what pulls to the target: "cross_entropy", "margin" (see `Margin`), "hinge" or "squared_error".
        confidence, count: see `Explainer`; further counterfactuals start elsewhere in the ball.

    Departures: starts at the query instead of at random in the ball, and stops per query at `confidence`,
    where the paper takes all steps.
    Source: Towards Deep Learning Models Resistant to Adversarial Attacks (Madry et al., 2018), arXiv
    1706.06083.
    """

    def __init__(
        self,
        classifier: nn.Module,
        *,
        epsilon: Share = 0.3,
        alpha: Positive = 0.01,
        steps: Count = 100,
        patience: Whole | None = 0,
        flip: Flip = "cross_entropy",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        super().__init__(
            classifier,
            space=Ball(epsilon),
            objective=Objective(flip_term(flip, "pgd"), distance=L1(0.0)),
            # without moments Adam's move is alpha g / (|g| + eps), the sign
            search=Search(steps, partial(Adam, lr=alpha, betas=(0.0, 0.0), eps=TINY), stop=Stop(patience)),
            confidence=confidence,
            count=count,
        )
