"""Contrastive explanations: what would have to be there for the classifier to see another class."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.optim import SGD

from counterfoil.core.bounds import Count, Positive, Probability, Share, Weight, Whole
from counterfoil.core.generator import Decodes, Encodes, require
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import (
    L1,
    Flip,
    Objective,
    Redrawn,
    Search,
    Shrinking,
    SquaredChange,
    Stop,
    Tradeoff,
    flip_term,
)


class CEM(OptimisedExplainer):
    """CEM's pertinent negatives: the least that has to be added for the target, by FISTA.

    min_d  c max(0, margin of t at x + d) + beta ||d||_1 + ||d||_2^2 + gamma ||x + d - G(E(x + d))||_2^2

    Args:
        generator: encodes and decodes; not asked for with `gamma` 0.
        beta: shrinks each pixel's change at each step.
        gamma: weight of the auto-encoder's error.
        absent: value of a pixel with nothing in it, from which pixels may only move away, as 0 in digits;
            None: pixels move both ways.
        c, rounds: first trade-off, and the number of rounds that bisect it.
        steps, lr: of FISTA, per round.
        patience: steps granted after the last nearer counterfactual; 0 stops at the first counterfactual,
            None runs all steps.
        flip: what pulls to the target: "hinge", "margin" (see `Margin`), "cross_entropy" or "squared_error".
        confidence, count: see `Explainer`.

    Departures: to a target, where the source takes any other class; a constant step size; fewer rounds and
    steps; the nearest point by L1 is returned. See `Shrinking` for the point that is graded.
    Source: Explanations based on the Missing: Towards Contrastive Explanations with Pertinent Negatives
    (Dhurandhar et al., 2018), arXiv 1802.07623.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        beta: Weight = 0.1,
        gamma: Weight = 1.0,
        absent: Share | None = 0.0,
        c: Positive = 10.0,
        rounds: Count = 3,
        steps: Count = 200,
        lr: Positive = 0.01,
        patience: Whole | None = 20,
        flip: Flip = "margin",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        if gamma:
            require(generator, Encodes, Decodes, method="cem")
        super().__init__(
            classifier,
            generator,
            space=Shrinking(beta, absent),
            objective=Objective(
                flip_term(flip, "cem"),
                distance=L1(0.0),
                change=SquaredChange(),
                **({"redrawn": Redrawn(gamma)} if gamma else {}),
            ),
            search=Search(
                steps,
                partial(SGD, lr=lr),
                stop=Stop(patience),
                tradeoff=Tradeoff(c, factor=10.0, rounds=rounds, bisect=True),
            ),
            confidence=confidence,
            count=count,
        )
