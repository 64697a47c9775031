"""Counterfactuals by gradient descent in the code of a generative model."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Positive, Probability, Weight, Whole
from counterfoil.core.errors import UserError
from counterfoil.core.generator import Decodes, Encodes, require
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import (
    L1,
    Ahead,
    Detail,
    Flip,
    Latent,
    Objective,
    Search,
    Stop,
    Toward,
    Tradeoff,
    flip_term,
)


class Revise(OptimisedExplainer):
    """REVISE: gradient search in the latent space of a generative model.

    min_z  CE(f(G(z)), t) + lambda * mean |x - G(z)|,   z_0 = E(x)

    Args:
        generator: encodes and decodes; a class-conditional one decodes under the target.
        lambda_: weight of the distance, a mean over pixels and channels.
        steps, lr: of Adam, per round.
        rounds: a query without a counterfactual tries again with the flip weighed 10 times more.
        patience: steps granted after the last nearer counterfactual; 0 stops at the first counterfactual,
            None runs all steps.
        flip: what pulls to the target: "cross_entropy", "margin" (see `Margin`), "hinge" or "squared_error".
        start: where the search begins: at the code of the "factual", or where the line along the "gradient"
            or to the nearest "neighbour" of the target class first reaches the target (see `Ahead`). What is
            there is a counterfactual already; `patience` lets the search bring it nearer.
        starts: searches, each begun at another neighbour, the nearest first; what changes least is kept.
        residual: give back what the generator cannot draw of the factual, see `Detail`.
        confidence, count: see `Explainer`.

    Departures: stops per query at probability `confidence`, the paper per run; the trade-off is raised for
    queries that fail.
    Source: Towards Realistic Individual Recourse and Actionable Explanations in Black-Box Decision Making
    Systems (Joshi et al., 2019), arXiv 1907.09615.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        lambda_: Weight = 2.0,
        steps: Count = 200,
        lr: Positive = 0.2,
        rounds: Count = 2,
        patience: Whole | None = 0,
        flip: Flip = "cross_entropy",
        start: Literal["factual"] | Toward = "factual",
        starts: Count = 1,
        residual: bool = False,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Encodes, Decodes, method="revise")
        if starts > 1 and start != "neighbour":
            raise UserError(f"starts={starts} needs start=neighbour, found start={start}; or set starts=1")
        detail = Detail() if residual else None
        super().__init__(
            classifier,
            generator,
            space=Latent(detail=detail) if start == "factual" else Ahead(start, detail=detail),
            elsewhere=[Ahead("neighbour", rank=rank, detail=detail) for rank in range(1, starts)],
            objective=Objective(flip_term(flip, "revise"), distance=L1(lambda_)),
            search=Search(steps, partial(Adam, lr=lr), stop=Stop(patience), tradeoff=Tradeoff(rounds=rounds)),
            confidence=confidence,
            count=count,
        )
