"""Counterfactuals by gradient descent on attributes alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from torch import nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Growth, Positive, Probability, Share, Weight, Whole
from counterfoil.core.generator import Decodes, Encodes, attribute_names, require
from counterfoil.core.query import Query
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import (
    L1,
    Attributes,
    Flip,
    InvertedLatent,
    Latent,
    Moved,
    Objective,
    Search,
    Space,
    Stop,
    Term,
    Tradeoff,
    flip_term,
)


class GCI(OptimisedExplainer):
    """GCI: the change of attributes that changes the prediction.

    A* = argmin_A  lambda * CE(f(I(A)), t) + mean |x - I(A)| + sparsity * ||A - A_0||_1,   I(A) = G(E(x), A)

    Of all valid points met, the one with the smallest ||A - A_0||_1 is returned. lambda grows by `factor`,
    each time from the start, until there is one. With a generator that has no attributes, its code z takes
    their place, and the nearest image is returned.

    Args:
        generator: edits attributes; or is conditioned on the class, which then is the attribute; or just
            decodes.
        mode: "flip" goes for the target. "exaggerate" goes for more of the classifier's own decision (so that
            counterfactuals are not valid). "criticise" goes for the target and stops where the decision
            turns, at the least certain image.
        free, frozen: names of the attributes that may change (None: all), and of those that must not.
        inversion: for generators without attributes, "encoder" or "optimise" (the best of `restarts` random
            starts).
        lambda_, factor, rounds: first trade-off, its growth, and the number of rounds.
        steps, lr: of Adam, per round.
        sparsity: weight of the change of attributes.
        overshoot: how far an attribute may go beyond absent and present.
        patience: steps granted after the last better counterfactual; None runs all steps.
        gate: least share of reconstructions that must keep the classifier's decision, checked by `fit`; 0
            checks nothing.
        flip: what pulls to the target: "cross_entropy", "margin" (see `Margin`), "hinge" or "squared_error".
        confidence, count: see `Explainer`.

    Departures: the source names neither norm, optimiser nor schedule; they are ours. The generator is AttGAN,
    by inference. Queries whose reconstruction fails the gate are explained and counted like the others.
    Source: Generative Counterfactual Introspection for Explainable Deep Learning (Liu et al., 2019), arXiv
    1907.03077.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        mode: Literal["flip", "exaggerate", "criticise"] = "flip",
        free: Sequence[str] | None = None,
        frozen: Sequence[str] = (),
        inversion: Literal["encoder", "optimise"] = "encoder",
        restarts: Count = 5,
        lambda_: Positive = 0.02,
        factor: Growth = 4.0,
        rounds: Count = 5,
        steps: Count = 200,
        lr: Positive = 0.05,
        sparsity: Weight = 0.02,
        overshoot: Weight = 0.5,
        patience: Whole | None = 20,
        gate: Share = 0.0,
        flip: Flip = "cross_entropy",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, *([Decodes] if inversion == "optimise" else [Encodes, Decodes]), method="gci")
        names = attribute_names(generator, classifier)
        if names:
            require(generator, Encodes, method="gci")
        space: Space = (
            Attributes(names, free=free, frozen=frozen, overshoot=overshoot)
            if names
            else _code(inversion, restarts)
        )
        distance: Term = Moved(sparsity, names=("a",), order=1) if names else L1()
        super().__init__(
            classifier,
            generator,
            space=space,
            objective=Objective(
                flip_term(flip, "gci"), distance=distance, **({"image": L1()} if names else {})
            ),
            search=Search(
                steps,
                partial(Adam, lr=lr),
                stop=Stop(patience if mode == "flip" else 0),
                tradeoff=Tradeoff(lambda_, factor=factor, rounds=rounds),
            ),
            ask=MODES[mode],
            gate=gate,
            confidence=confidence,
            count=count,
        )


def _code(inversion: str, restarts: int) -> Latent:
    return Latent() if inversion == "encoder" else InvertedLatent(restarts=restarts)


def _exaggerate(query: Query) -> Query:
    return _with_logits(query, replace(query, target=query.source, confidence=1.0))


def _criticise(query: Query) -> Query:
    return _with_logits(query, replace(query, confidence=0.0))


def _with_logits(query: Query, other: Query) -> Query:
    other.__dict__["logits"] = query.logits
    return other


MODES: dict[str, Callable[[Query], Query] | None] = {
    "flip": None,
    "exaggerate": _exaggerate,
    "criticise": _criticise,
}
"""The query that the search explains in place of the given one."""
