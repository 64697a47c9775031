"""Counterfactuals by gradient descent on attributes and latent code together."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from counterfoil.core.bounds import Count, Probability, Share, Weight
from counterfoil.core.errors import UserError
from counterfoil.core.generator import Decodes, Encodes, attribute_names, require
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import AttributeLatent, Flip, Moved, Objective, Paced, Search, Stop, flip_term


class AIP(OptimisedExplainer):
    """AIP: attribute-informed perturbation (Algorithm 1).

    L(z, a) = CE(f(G(z, a)), t) + alpha * (||z - z_0||_2 + ||a - a_0||_2)
    z <- z - mu beta^n dL/dz,   a <- a - gamma beta^n dL/da,   until f decides for t or n = n_max

    Args:
        generator: edits attributes, or is conditioned on the class, which then is the attribute.
        mu, gamma: first step sizes of the code and of the attributes; 0 holds either where it is.
        alpha: weight of the perturbation.
        beta: shrinks both step sizes after each step, in (0, 1]; the travel is bounded by mu / (1 - beta)
            gradients.
        n_max: largest number of steps.
        adam: Adam instead of the plain gradient descent of the source; mu and gamma are then its learning
            rates.
        alternate: code and attributes take turns, each after a new evaluation; a step then moves one of them.
        best: go on to `n_max` and return the valid point with the smallest perturbation, instead of the first
            one.
        free, frozen, overshoot, gate: see `GCI`.
        flip: what pulls to the target: "cross_entropy", "margin" (see `Margin`), "hinge" or "squared_error".
        confidence, count: see `Explainer`.

    Departures: the listing's condition "while not flipped or n <= n_max" would neither stop at success nor
    end in failure: it is read as "and". A query without counterfactual gets the likeliest point met, not
    valid, where the source returns nothing. Attributes are clamped to [-overshoot, 1 + overshoot]. All values
    are ours.
    Source: Generative Counterfactuals for Neural Networks via Attribute-Informed Perturbation (Yang et al.,
    2021), arXiv 2101.06930.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        mu: Weight = 0.5,
        gamma: Weight = 0.05,
        alpha: Weight = 0.05,
        beta: Probability = 0.99,
        n_max: Count = 200,
        adam: bool = False,
        alternate: bool = False,
        best: bool = False,
        free: Sequence[str] | None = None,
        frozen: Sequence[str] = (),
        overshoot: Weight = 0.5,
        gate: Share = 0.0,
        flip: Flip = "cross_entropy",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Encodes, Decodes, method="aip")
        names = attribute_names(generator, classifier)
        if not names:
            raise UserError(
                f"explainer aip needs a generator with attributes, found {type(generator).__name__}; take "
                "attgan or cvae"
            )
        super().__init__(
            classifier,
            generator,
            space=AttributeLatent(names, free=free, frozen=frozen, overshoot=overshoot),
            objective=Objective(flip_term(flip, "aip"), distance=Moved(alpha, names=("z", "a"))),
            search=Search(
                n_max,
                Paced((mu, gamma), decay=beta, adam=adam, alternate=alternate),
                stop=Stop(None if best else 0),
            ),
            gate=gate,
            confidence=confidence,
            count=count,
        )
