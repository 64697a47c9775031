"""Counterfactuals from the classifier alone, through an untrained image prior fitted to each query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from torch import nn
from torch.optim import Adam

from counterfoil.classifier.score import Score
from counterfoil.core.bounds import Count, Positive, Probability, Weight, Whole
from counterfoil.core.errors import UserError
from counterfoil.core.taps import check_taps
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.generative.prior.base import Prior
from counterfoil.search import (
    L1,
    Dropping,
    FeaturePreservation,
    Flip,
    ManifoldConsistency,
    Objective,
    PriorWeights,
    Search,
    Stop,
    Tradeoff,
    Unfrozen,
    flip_term,
)


class DISC(OptimisedExplainer):
    """DISC: deep inversion of the classifier under an image prior, progressively.

    argmin_theta  lambda_1 sum_l d(Psi_l(g_theta), Psi_l(x)) + lambda_2 L_mc(g_theta; f)
                  + lambda_3 CE(f(g_theta), t)

    from theta_0 with g_theta_0 = x (the pre-image). Needs neither data nor a generative model: L_mc is a
    score that the classifier carries. Of the points that reach the confidence the nearest in pixels is
    returned.

    Args:
        prior: g, "inr" or "dip" at its defaults, or a prior.
        start: weights theta trained on images, from which the fit then starts, with their prior, instead of
            `prior`; leaves the rule that no data are needed.
        lambda_1: weight of feature preservation, relative squared distances over pixels and layers.
        lambda_2: weight of manifold consistency; 0 leaves it out.
        lambda_3: weight of functional consistency.
        score, margin, literal: of manifold consistency, see `ManifoldConsistency`.
        layers: Psi, names of the classifier's layers, shallow to deep; None: those it names itself, or some
            of its convolutions.
        schedule: "preservation" (P1) drops the shallowest layer every `T_s` steps until two are left;
            "parameters" (P2) frees the weights of g block by block, nearest to the output first, every `T_s`
            steps; "none".
        T_s: steps of a stage.
        steps, lr: of Adam, per round.
        rounds: a query without a counterfactual tries again from its pre-image with lambda_3 10 times larger.
        patience: steps granted after the last nearer counterfactual; 0 stops at the first counterfactual,
            None runs all steps.
        returned: "nearest" as above, or "last": the image after all steps of one round, whatever the
            classifier's decision; then queries that reach their target already are explained too.
        flip: what pulls to the target: "cross_entropy", "margin" (see `Margin`), "hinge" or "squared_error".
        confidence, count: see `Explainer`.

    Departures: the source confirms neither weights, schedules nor optimiser, they are ours; the pre-image is
    fitted in pixels alone; the target must be reached once, not kept for some steps. See
    `ManifoldConsistency` for its form.
    Source: Designing Counterfactual Generators using Deep Model Inversion (Thiagarajan et al., 2021), arXiv
    2109.14274.
    """

    def __init__(
        self,
        classifier: nn.Module,
        *,
        prior: str | Prior = "inr",
        start: nn.Module | None = None,
        lambda_1: Weight = 0.2,
        lambda_2: Weight = 1.0,
        lambda_3: Weight = 1.0,
        score: str | Score = "auto",
        margin: float | None = None,
        literal: bool = False,
        layers: Sequence[str] | None = None,
        schedule: Literal["preservation", "parameters", "none"] = "preservation",
        T_s: Count = 5,
        steps: Count = 300,
        lr: Positive = 2e-3,
        rounds: Count = 2,
        patience: Whole | None = 0,
        returned: Literal["nearest", "last"] = "nearest",
        flip: Flip = "cross_entropy",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        space = PriorWeights(prior if start is None else prior_in(start))
        check_taps(classifier, layers or ())
        manifold = ManifoldConsistency(lambda_2, score=score, margin=margin, literal=literal)
        check_taps(classifier, manifold.layers(classifier))
        super().__init__(
            classifier,
            start,
            space=space,
            objective=Objective(
                flip_term(flip, "disc", lambda_3),
                distance=L1(0.0),
                preservation=FeaturePreservation(
                    lambda_1,
                    names=layers,
                    curriculum=Dropping(T_s / max(steps, 1)) if schedule == "preservation" else None,
                ),
                **({"manifold": manifold} if lambda_2 else {}),
            ),
            search=Search(
                steps,
                optimizer_of(space, schedule, T_s, lr),
                stop=Stop(patience),
                tradeoff=Tradeoff(factor=10.0, rounds=rounds),
                last=returned == "last",
            ),
            confidence=confidence,
            count=count,
        )


def prior_in(start: nn.Module) -> Prior:
    """The prior whose weights a trained start holds."""
    prior = getattr(start, "prior", None)
    if not isinstance(prior, Prior):
        raise UserError(
            f"explainer disc: start={type(start).__name__} holds no weights of a prior; choose "
            "generative=prior_start for it"
        )
    return prior


def optimizer_of(space: PriorWeights, schedule: str, stage: int, lr: float) -> Callable[[list[Any]], Any]:
    """Adam on all weights at once, or on one block after the other."""
    if schedule != "parameters":
        return partial(Adam, lr=lr)
    return Unfrozen([turn for turn, block in enumerate(space.blocks) for _name in block], every=stage, lr=lr)
