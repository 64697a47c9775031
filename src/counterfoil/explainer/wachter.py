"""Counterfactuals by gradient descent on the input."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Positive, Probability, Weight, Whole
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import (
    L1,
    L2,
    Flip,
    Objective,
    Pixels,
    Search,
    Stop,
    Tradeoff,
    flip_term,
)

DISTANCES = {"l1": L1, "l2": L2}


class Wachter(OptimisedExplainer):
    """Wachter et al.: the nearest input that the classifier gives the target.

    min_x' max_lambda  lambda * loss(f(x'), t) + scale * d(x, x')

    Args:
        lambda_: first trade-off of the flip; multiplied by 10 for queries that fail, as the paper raises it
            until the counterfactual is valid.
        rounds: largest number of trade-offs tried.
        bisect: also look between the largest failing and the smallest successful trade-off for nearer
            counterfactuals.
        scale: weight of the distance, which is a mean over pixels and channels.
        distance: "l1" or "l2".
        flip: "cross_entropy", "margin" (see `Margin`), "hinge", or the paper's "squared_error" (f_t - 1)^2.
        steps, lr: of Adam, per round.
        patience: steps granted after the last nearer counterfactual; 0 stops at the first counterfactual,
            None runs all steps.
        confidence, count: see `Explainer`.

    Departures: cross-entropy by default, as the squared error has no gradient where the classifier saturates;
    plain L1 instead of L1 over the median absolute deviation, which is zero for most pixels of digits.
    Source: Counterfactual Explanations without Opening the Black Box (Wachter, Mittelstadt and Russell,
    2017), arXiv 1711.00399.
    """

    def __init__(
        self,
        classifier: nn.Module,
        *,
        lambda_: Positive = 1.0,
        rounds: Count = 3,
        bisect: bool = False,
        scale: Weight = 20.0,
        distance: Literal["l1", "l2"] = "l1",
        flip: Flip = "cross_entropy",
        steps: Count = 200,
        lr: Positive = 0.02,
        patience: Whole | None = 20,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        super().__init__(
            classifier,
            space=Pixels(),
            objective=Objective(flip_term(flip, "wachter"), distance=DISTANCES[distance](scale)),
            search=Search(
                steps,
                partial(Adam, lr=lr),
                stop=Stop(patience),
                tradeoff=Tradeoff(lambda_, factor=10.0, rounds=rounds, bisect=bisect),
            ),
            confidence=confidence,
            count=count,
        )
