"""Counterfactuals that preserve the classifier's features, in pixels or under a prior: baselines of DISC."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Positive, Probability, Weight, Whole
from counterfoil.core.taps import check_taps
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.generative.prior.base import Prior
from counterfoil.search import (
    L1,
    FeaturePreservation,
    Flip,
    Norm,
    Objective,
    Pixels,
    PriorWeights,
    Search,
    Stop,
    TotalVariation,
    Tradeoff,
    flip_term,
)


class LSO(OptimisedExplainer):
    """Latent-space optimisation, the latent space being the classifier's own.

    argmin  lambda_1 sum_l d(Psi_l(x'), Psi_l(x)) + tv R_TV(x') + l2 R_l2(x') + lambda_3 CE(f(x'), t)

    over pixels; with a prior over its weights, and without the two regularisers.

    Args:
        prior: None: pixels; "inr" or "dip" at its defaults, or a prior.
        lambda_1: weight of feature preservation, relative squared distances over pixels and layers.
        lambda_3: weight of the cross-entropy.
        layers: Psi, names of the classifier's layers; None: those it names itself, or some of its
            convolutions.
        tv, l2: weights of total variation and of the norm, sums over pixels; without effect under a prior.
        steps: of Adam, per round.
        lr: of Adam; None: 0.01 on pixels, 0.002 on weights.
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
        prior: str | Prior | None = None,
        lambda_1: Weight = 0.2,
        lambda_3: Weight = 1.0,
        layers: Sequence[str] | None = None,
        tv: Weight = 1e-3,
        l2: Weight = 1e-3,
        steps: Count = 300,
        lr: Positive | None = None,
        rounds: Count = 2,
        patience: Whole | None = 0,
        flip: Flip = "cross_entropy",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        check_taps(classifier, layers or ())
        space = Pixels() if prior is None else PriorWeights(prior)
        rate = lr or (1e-2 if prior is None else 2e-3)
        super().__init__(
            classifier,
            space=space,
            objective=Objective(
                flip_term(flip, "lso", lambda_3),
                distance=L1(0.0),
                preservation=FeaturePreservation(lambda_1, names=layers),
                **({"tv": TotalVariation(tv), "l2": Norm(l2)} if prior is None else {}),
            ),
            search=Search(
                steps,
                partial(Adam, lr=rate),
                stop=Stop(patience),
                tradeoff=Tradeoff(factor=10.0, rounds=rounds),
            ),
            confidence=confidence,
            count=count,
        )
