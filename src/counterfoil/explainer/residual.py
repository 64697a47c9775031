"""Counterfactuals that are the factual but for what a generative model draws anew."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Positive, Probability, Weight, Whole
from counterfoil.core.generator import Decodes, Encodes, require
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import (
    L1,
    Ahead,
    Detail,
    Flip,
    Latent,
    Objective,
    Restore,
    Search,
    Stop,
    Toward,
    Tradeoff,
    flip_term,
)


class Residual(OptimisedExplainer):
    """Residual search: in the code of a generative model, over the factual plus what the model redraws.

    min_z  max(0, margin of t) + lambda * mean |x - x'(z)|,   z_0 = E(x)
    x'(z) = clamp(G(z) + k (x - G(E(x)))),   k = exp(-fade * avgpool_3 |G(z) - G(E(x))|)

    Args:
        generator: encodes and decodes; a class-conditional one decodes under the target.
        lambda_: weight of the distance, a mean over pixels and channels.
        fade: how fast the factual's detail is given up where the generator changes the image.
        steps, lr: of Adam, per round.
        rounds: a query without a counterfactual tries again with the flip weighed 10 times more.
        patience: steps granted after the last nearer counterfactual; 0 stops at the first counterfactual,
            None runs all steps.
        flip: what pulls to the target: "margin" (see `Margin`), "cross_entropy", "hinge" or "squared_error".
        start: see `Revise`.
        restore: end with giving the factual back where the decision does not need the change, see `Restore`.
        confidence, count: see `Explainer`.

    Source: ours, from REVISE (Joshi et al., 2019), arXiv 1907.09615, and the hinge of Carlini and Wagner
    (2017), arXiv 1608.04644.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        lambda_: Weight = 50.0,
        fade: Positive = 10.0,
        steps: Count = 200,
        lr: Positive = 0.1,
        rounds: Count = 2,
        patience: Whole | None = 20,
        flip: Flip = "margin",
        start: Literal["factual"] | Toward = "factual",
        restore: bool = False,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Encodes, Decodes, method="residual")
        detail = Detail(fade)
        super().__init__(
            classifier,
            generator,
            space=Latent(detail=detail) if start == "factual" else Ahead(start, detail=detail),
            objective=Objective(flip_term(flip, "residual"), distance=L1(lambda_)),
            search=Search(steps, partial(Adam, lr=lr), stop=Stop(patience), tradeoff=Tradeoff(rounds=rounds)),
            refine=Restore() if restore else None,
            confidence=confidence,
            count=count,
        )
