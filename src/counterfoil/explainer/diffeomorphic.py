"""Counterfactuals by gradient ascent in the base space of a normalising flow."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Positive, Probability
from counterfoil.core.errors import UserError
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.generative.flow.network import Flow
from counterfoil.search import L1, Flip, Latent, Objective, Search, flip_term


class Diffeomorphic(OptimisedExplainer):
    """Diffeomorphic counterfactuals: the target's likelihood climbed in the coordinates of a flow.

    min_z  CE(f(g(z)), t),   z_0 = g^-1(x),   g exactly invertible

    The factual is drawn without loss, and nothing but the coordinates keeps the counterfactual near it.

    Args:
        generator: a trained `Flow`.
        steps, lr: of Adam.
        flip: what pulls to the target: "cross_entropy", "margin" (see `Margin`), "hinge" or "squared_error".
        confidence, count: see `Explainer`; searches for further counterfactuals start from a disturbed code.

    Departures: the flow is a small one of affine couplings, where the source has RealNVP and Glow.
    Source: Diffeomorphic Counterfactuals with Generative Models (Dombrowski et al., 2022), arXiv 2206.05075.

    Raises:
        UserError: a generator of another kind.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        steps: Count = 500,
        lr: Positive = 0.05,
        flip: Flip = "cross_entropy",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        if not isinstance(generator, Flow):
            found = "none" if generator is None else type(generator).__name__
            raise UserError(
                f"explainer diffeomorphic needs a trained Flow, found {found}; train one with train.py "
                "explainer=diffeomorphic"
            )
        super().__init__(
            classifier,
            generator,
            space=Latent(),
            objective=Objective(flip_term(flip, "diffeomorphic"), distance=L1(0.0)),
            search=Search(steps, partial(Adam, lr=lr)),
            confidence=confidence,
            count=count,
        )
