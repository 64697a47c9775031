"""Several counterfactuals of a query that change it in different ways."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Positive, Probability, Weight, Whole
from counterfoil.core.generator import Decodes, Encodes, require
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.search import (
    L1,
    Diversity,
    Flip,
    MaskedLatent,
    Masks,
    Moved,
    Objective,
    Search,
    Stop,
    Tradeoff,
    flip_term,
)


class DiVE(OptimisedExplainer):
    """DiVE: `count` counterfactuals whose changes of the code differ, each kept from another part of it.

    min  CE(f(G(z_i)), t) + lambda |x - G(z_i)| + gamma |z_i - z_0|_1 + alpha mean_{j != i} cos^2(d_i, d_j)
    z_i = z_0 + m_i d_i,  z_0 = E(x)

    Args:
        generator: encodes and decodes; best one whose coordinates are set apart, as `tcvae`.
        masks: which coordinates the i-th counterfactual may move: "spectral_inverse" all but the i-th cluster
            of them, "spectral" it alone, "chunk" all but the i-th chunk by influence on the classifier,
            "none" all. See `MaskedLatent`.
        lambda_, gamma, alpha: weights of the distance, a mean over pixels and channels, of the change of the
            code, and of likeness.
        examples: training images that tell the influence.
        steps, lr: of Adam, per round.
        rounds: a query without a counterfactual tries again with the flip weighed 10 times more.
        patience: see `Revise`.
        flip: what pulls to the target: "cross_entropy", "margin" (see `Margin`), "hinge" or "squared_error".
        confidence, count: see `Explainer`.

    Departures: to a target of several classes; weights are ours; stops per query at `confidence`.
    Source: Beyond Trivial Counterfactual Explanations with Diverse Valuable Explanations (Rodriguez et al.,
    ICCV 2021), arXiv 2103.10226.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        masks: Masks = "spectral_inverse",
        lambda_: Weight = 2.0,
        gamma: Weight = 0.01,
        alpha: Weight = 1.0,
        examples: Count = 256,
        steps: Count = 200,
        lr: Positive = 0.1,
        rounds: Count = 2,
        patience: Whole | None = 0,
        flip: Flip = "cross_entropy",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Encodes, Decodes, method="dive")
        super().__init__(
            classifier,
            generator,
            space=MaskedLatent(count, masks, examples=examples),
            objective=Objective(
                flip_term(flip, "dive"),
                distance=L1(lambda_),
                change=Moved(gamma, names=("z",), order=1),
                diversity=Diversity(alpha, code=True),
            ),
            search=Search(steps, partial(Adam, lr=lr), stop=Stop(patience), tradeoff=Tradeoff(rounds=rounds)),
            confidence=confidence,
            count=count,
        )
