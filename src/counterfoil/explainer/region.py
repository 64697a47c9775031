"""Counterfactuals that change one region of the image alone."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Positive, Probability, Share, Weight, Whole
from counterfoil.core.generator import Decodes, Encodes, require
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import L1, Detail, Flip, Objective, Region, Search, Stop, Tradeoff, flip_term


class RegionSearch(OptimisedExplainer):
    """Residual search inside the region to which the decision is most sensitive; the rest stays as it is.

    min_z  max(0, margin of t) + lambda * mean |x - x'(z)|,   x'(z) = m r(z) + (1 - m) x,   z_0 = E(x)

    r decodes with the factual's detail, see `Detail`; m is found once per query, see `search.region.Region`.

    Args:
        generator: encodes and decodes; a class-conditional one decodes under the target.
        share: of the image that may change.
        cell: side in pixels of the cells that make up the region.
        lambda_: weight of the distance, a mean over pixels and channels.
        steps, lr: of Adam, per round.
        rounds: a query without a counterfactual tries again with the flip weighed 10 times more.
        patience: steps granted after the last nearer counterfactual; 0 stops at the first counterfactual,
            None runs all steps.
        flip: what pulls to the target: "margin" (see `Margin`), "cross_entropy", "hinge" or "squared_error".
        confidence, count: see `Explainer`.

    Departures: the source inpaints the region by a guided diffusion model; here a code is searched, and the
    cells are ranked by the classifier's gradient.
    Source of the constraint: Rethinking Visual Counterfactual Explanations Through Region Constraint
    (Sobieski et al., 2024), arXiv 2410.12591.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        share: Share = 0.3,
        cell: Count = 4,
        lambda_: Weight = 20.0,
        steps: Count = 200,
        lr: Positive = 0.2,
        rounds: Count = 2,
        patience: Whole | None = 20,
        flip: Flip = "margin",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Encodes, Decodes, method="region")
        super().__init__(
            classifier,
            generator,
            space=Region(share, cell=cell, detail=Detail()),
            objective=Objective(flip_term(flip, "region"), distance=L1(lambda_)),
            search=Search(steps, partial(Adam, lr=lr), stop=Stop(patience), tradeoff=Tradeoff(rounds=rounds)),
            confidence=confidence,
            count=count,
        )
