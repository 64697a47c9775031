"""Counterfactuals on pixels that are pulled to a prototype of the target class."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.optim import SGD

from counterfoil.core.bounds import Count, Positive, Probability, Weight, Whole
from counterfoil.core.generator import Decodes, Encodes, require
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import (
    L1,
    Flip,
    Guided,
    Objective,
    Prototype,
    Redrawn,
    Search,
    SquaredChange,
    Stop,
    Tradeoff,
    flip_term,
)


class CFProto(OptimisedExplainer):
    """Counterfactuals guided by prototypes, by FISTA.

    min_d  c max(0, margin of t at x + d) + beta ||d||_1 + ||d||_2^2 + gamma ||x + d - G(E(x + d))||_2^2
           + theta ||E(x + d) - proto_t||_2^2

    Args:
        generator: encodes and decodes.
        beta: shrinks each pixel's change at each step.
        gamma: weight of the auto-encoder's error.
        theta: weight of the distance from the prototype.
        nearest: training images of the target class, nearest in code, whose mean code is the prototype.
        c, rounds: first trade-off, and the number of rounds that bisect it.
        steps, lr: of FISTA, per round.
        patience: steps granted after the last nearer counterfactual; 0 stops at the first counterfactual,
            None runs all steps.
        flip: what pulls to the target: "hinge", "margin" (see `Margin`), "cross_entropy" or "squared_error".
        confidence, count: see `Explainer`.

    Departures: to a target, where the source takes the nearest prototype's class; codes of the run's
    generative model; weights rescaled to them; a constant step size; the nearest point by L1 is returned. See
    `Shrinking` for the point that is graded.
    Source: Interpretable Counterfactual Explanations Guided by Prototypes (Van Looveren and Klaise, 2019),
    arXiv 1907.02584.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        beta: Weight = 0.1,
        gamma: Weight = 1.0,
        theta: Weight = 1.0,
        nearest: Count = 20,
        c: Positive = 10.0,
        rounds: Count = 3,
        steps: Count = 200,
        lr: Positive = 0.01,
        patience: Whole | None = 20,
        flip: Flip = "margin",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Encodes, Decodes, method="prototype")
        super().__init__(
            classifier,
            generator,
            space=Guided(nearest, threshold=beta),
            objective=Objective(
                flip_term(flip, "prototype"),
                distance=L1(0.0),
                change=SquaredChange(),
                redrawn=Redrawn(gamma),
                prototype=Prototype(theta),
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
