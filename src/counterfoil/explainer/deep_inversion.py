"""Counterfactuals that fit the statistics stored in the classifier's batch norms."""

from __future__ import annotations

import warnings
from functools import partial

from torch import nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Positive, Probability, Weight, Whole
from counterfoil.core.errors import CounterfoilWarning
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import (
    L1,
    BatchStatistics,
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
from counterfoil.search.regulariser import batch_norms


class DeepInversion(OptimisedExplainer):
    """Class-conditional deep inversion that starts at the query and stays near it.

    argmin_x'  CE(f(x'), t) + scale * mean |x' - x| + tv R_TV(x') + l2 R_l2(x')
               + bn * sum_l (||mu_l(x') - m_l|| + ||var_l(x') - v_l||)

    Args:
        scale: weight of the distance, a mean over pixels and channels.
        tv, l2: weights of total variation and of the norm, sums over pixels.
        bn: weight of the statistics; a classifier without batch norm has none to fit, which a warning says.
        first: factor of the first batch norm.
        steps, lr: of Adam, per round.
        rounds: a query without a counterfactual tries again with the cross-entropy weighed 10 times more.
        patience: steps granted after the last nearer counterfactual; 0 stops at the first counterfactual,
            None runs all steps.
        flip: what pulls to the target: "cross_entropy", "margin" (see `Margin`), "hinge" or "squared_error".
        confidence, count: see `Explainer`.

    Departures: starts at the query instead of noise, with a distance to it, and without jitter and flips;
    statistics over the positions of each image instead of over a batch; weights rescaled for that.
    Source: Dreaming to Distill: Data-free Knowledge Transfer via DeepInversion (Yin et al., 2020), arXiv
    1912.08795.
    """

    def __init__(
        self,
        classifier: nn.Module,
        *,
        scale: Weight = 5.0,
        tv: Weight = 1e-3,
        l2: Weight = 1e-3,
        bn: Weight = 1e-2,
        first: Weight = 10.0,
        steps: Count = 300,
        lr: Positive = 1e-2,
        rounds: Count = 2,
        patience: Whole | None = 0,
        flip: Flip = "cross_entropy",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        if bn and not batch_norms(classifier):
            warnings.warn(
                "explainer deep_inversion: the classifier has no batch norm with running statistics, so "
                "there is nothing to invert but its decision; bn has no effect",
                CounterfoilWarning,
                stacklevel=2,
            )
        super().__init__(
            classifier,
            space=Pixels(),
            objective=Objective(
                flip_term(flip, "deep_inversion"),
                distance=L1(scale),
                tv=TotalVariation(tv),
                l2=Norm(l2),
                statistics=BatchStatistics(bn, first=first),
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
