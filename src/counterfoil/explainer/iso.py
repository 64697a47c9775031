"""Counterfactuals by gradient descent on pixels, kept smooth: the first baseline of DISC."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Positive, Probability, Weight, Whole
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import (
    L1,
    FeaturePreservation,
    Flip,
    Norm,
    Objective,
    Pixels,
    Search,
    Stop,
    TotalVariation,
    Tradeoff,
    flip_term,
)


class ISO(OptimisedExplainer):
    """Image-space optimisation.

    argmin_x'  lambda_1 ||x' - x||^2 / ||x||^2 + tv R_TV(x') + l2 R_l2(x') + lambda_3 CE(f(x'), t)

    Args:
        lambda_1: weight of the distance in pixels.
        lambda_3: weight of the cross-entropy.
        tv, l2: weights of total variation and of the norm, sums over pixels.
        steps, lr: of Adam, per round.
        rounds: a query without a counterfactual tries again with lambda_3 10 times larger.
        patience: steps granted after the last nearer counterfactual; 0 stops at the first counterfactual,
            None runs all steps.
        flip: what pulls to the target: "cross_entropy", "margin" (see `Margin`), "hinge" or "squared_error".
        confidence, count: see `Explainer`.

    Departures: weights are ours, the source names none.
    Source: Designing Counterfactual Generators using Deep Model Inversion (Thiagarajan et al., 2021), arXiv
    2109.14274.
    """

    def __init__(
        self,
        classifier: nn.Module,
        *,
        lambda_1: Weight = 0.2,
        lambda_3: Weight = 1.0,
        tv: Weight = 1e-3,
        l2: Weight = 1e-3,
        steps: Count = 300,
        lr: Positive = 1e-2,
        rounds: Count = 2,
        patience: Whole | None = 0,
        flip: Flip = "cross_entropy",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        super().__init__(
            classifier,
            space=Pixels(),
            objective=Objective(
                flip_term(flip, "iso", lambda_3),
                distance=L1(0.0),
                preservation=FeaturePreservation(lambda_1, names=()),
                tv=TotalVariation(tv),
                l2=Norm(l2),
            ),
            search=Search(
                steps,
                partial(Adam, lr=lr),
                stop=Stop(patience),
                tradeoff=Tradeoff(factor=10.0, rounds=rounds),
            ),
            confidence=confidence,
            count=count,
        )
