"""Stay where the classifier knows its way: a score that it carries, as a term."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.classifier.outlier import SAMPLE, check_score
from counterfoil.classifier.score import (
    Disagreement,
    DropoutEntropy,
    Energy,
    KernelDistance,
    PredictedError,
    Score,
    default_score,
)
from counterfoil.core.bounds import Weight
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search.candidate import Candidate
from counterfoil.search.term import Schedule, Term

SCORES: dict[str, type] = {
    "kernel": KernelDistance,
    "error": PredictedError,
    "energy": Energy,
    "dropout": DropoutEntropy,
    "ensemble": Disagreement,
}
"""By the name that an option gives them."""


class ManifoldConsistency(Term):
    """L_mc by the score that the classifier carries.

    kernel (DUQ): relu(d_t - d_y + margin) + d_t on d_c = -log K_c, y the class of the factual; with `literal`
    the source's relu(K_y - K_t + margin), which has no gradient where the kernels are 0.   error (DEP):
    softplus(predicted
    loss). any other: relu(score(x') - score(x)), no further off than the factual.

    Args:
        weight: see `Term`.
        score: its name, or a score; "auto": the error that the classifier predicts, else its kernels, else
            its energy.
        margin: of the hinge; None: 2 on distances, 0.5 on kernels.
        literal: the hinge on kernels instead of their logarithms.

    Departures: distances instead of kernels, and the added d_t, which rewards certainty of the target.
    Source: Designing Counterfactual Generators using Deep Model Inversion (Thiagarajan et al., 2021), arXiv
    2109.14274.
    """

    def __init__(
        self,
        weight: Weight | Schedule = 1.0,
        *,
        score: str | Score = "auto",
        margin: float | None = None,
        literal: bool = False,
    ) -> None:
        super().__init__(weight)
        self.score = score if score == "auto" else named(score)
        self.margin = (0.5 if literal else 2.0) if margin is None else margin
        self.literal = literal
        self.images = int(getattr(self.score, "samples", 0))

    def layers(self, classifier: nn.Module) -> tuple[str, ...]:
        """What the score reads; UserError for a score that the classifier does not carry."""
        return self.of(classifier).layers(classifier)

    def of(self, classifier: nn.Module) -> Score:
        """The score in use on this classifier."""
        score = default_score(classifier) if isinstance(self.score, str) else self.score
        if self.literal and not isinstance(score, KernelDistance):
            raise UserError(
                "score: literal=true is the hinge on the kernels of classifier=duq; take score=kernel, or "
                "literal=false"
            )
        return score

    def fit(self, classifier: nn.Module, data: Any) -> None:
        """Warn where the score does not tell images of these data from noise, squares or another set."""
        x = data.val[range(min(SAMPLE, len(data.val)))].x
        check_score(classifier, x, data.outliers(x), self.of(classifier))

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """How far off the manifold of the target (B,), >= 0."""
        score = self.of(query.classifier)
        if isinstance(score, KernelDistance):
            return self._hinge(query, candidate.logits)
        value = score(query.classifier, candidate.decoded, candidate.logits, candidate.features)
        if isinstance(score, PredictedError):
            return F.softplus(value)
        return (value - query.remember("score", lambda: _of_the_factual(score, query))).relu()

    def _hinge(self, query: Query, log_kernels: Tensor) -> Tensor:
        values = log_kernels.exp() if self.literal else log_kernels
        target, source = (values.gather(1, labels[:, None])[:, 0] for labels in (query.target, query.source))
        hinge = (source - target + self.margin).relu()
        return hinge if self.literal else hinge - target


def named(score: str | Score) -> Score:
    """A score by its name, or as it is."""
    if not isinstance(score, str):
        return score
    if score not in SCORES:
        raise UserError(f"score={score} is not known; choose auto or one of: {', '.join(SCORES)}")
    if score == "ensemble":
        raise UserError(
            "score=ensemble needs its members: "
            "score={_target_: counterfoil.classifier.score.Disagreement, members: [FILE, ...]}"
        )
    made: Score = SCORES[score]()
    return made


def _of_the_factual(score: Score, query: Query) -> Tensor:
    with torch.no_grad():
        return score(
            query.classifier, query.factual, query.logits, query.features(score.layers(query.classifier))
        )
