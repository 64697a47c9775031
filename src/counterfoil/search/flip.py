"""The terms that pull a candidate to its target."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.core.bounds import Weight
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search.candidate import Candidate
from counterfoil.search.term import Schedule, Term

Flip = Literal["cross_entropy", "squared_error", "hinge", "margin"]
"""The flip terms that a method's option `flip` names."""
CERTAIN = 1e-6
"""Confidences nearer to 1 than this ask for no wider margin: float32 cannot tell them from 1."""


class CrossEntropy(Term):
    """-log p_t(x')."""

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """Cross-entropy to the target in nats."""
        return F.cross_entropy(candidate.logits, query.target, reduction="none")


class SquaredError(Term):
    """(p_t(x') - 1)^2; its gradient vanishes where the classifier is sure of another class."""

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """Squared distance of the target probability from 1."""
        return (1 - candidate.logits.softmax(1).gather(1, query.target[:, None])[:, 0]).square()


class Hinge(Term):
    """max(0, max_{k != t} s_k - s_t + margin) on logits s; zero once the target leads by the margin.

    Source: Towards Evaluating the Robustness of Neural Networks (Carlini and Wagner, 2017), arXiv 1608.04644.
    """

    def __init__(self, weight: Weight | Schedule = 1.0, margin: float = 0.0) -> None:
        super().__init__(weight)
        self.margin = margin

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """How far the target's logit is from leading by the margin."""
        own, others = _apart(query, candidate.logits)
        return (others.amax(1) - own + self.margin).clamp(min=0)


class Margin(Term):
    """A hinge on logits s that is zero once the target's probability is past the confidence c.

    max(0, log sum_{k != t} exp s_k - s_t + log(c / (1 - c)) + slack, max_{k != t} s_k - s_t + slack)

    The first is zero exactly where p_t >= c, whatever K, the second where t is the decision, which a c below
    one half does not imply. Unlike the cross-entropy's, its gradient does not fade as p_t nears c, and it
    leaves the field to the distance from there on.

    Args:
        slack: how far past the confidence it pulls, in logits.

    Source: the hinge of Towards Evaluating the Robustness of Neural Networks (Carlini and Wagner, 2017),
    arXiv 1608.04644; the margin that means the confidence is ours.
    """

    def __init__(self, weight: Weight | Schedule = 1.0, slack: Weight = 0.1) -> None:
        super().__init__(weight)
        self.slack = slack

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """How far the target's logit is from the confidence."""
        confidence = min(max(query.confidence, CERTAIN), 1 - CERTAIN)
        own, others = _apart(query, candidate.logits)
        short = others.logsumexp(1) - own + math.log(confidence / (1 - confidence))
        return (torch.maximum(short, others.amax(1) - own) + self.slack).clamp(min=0)


def flip_term(flip: Flip, method: str, weight: float | Schedule = 1.0) -> Term:
    """The flip term of this name; `method` is named where there is none."""
    terms: dict[str, type[Term]] = {
        "cross_entropy": CrossEntropy,
        "squared_error": SquaredError,
        "hinge": Hinge,
        "margin": Margin,
    }
    if flip not in terms:
        known = ", ".join(get_args(Flip))
        raise UserError(f"explainer {method}: flip={flip} is not supported; choose one of: {known}")
    return terms[flip](weight)


def _apart(query: Query, logits: Tensor) -> tuple[Tensor, Tensor]:
    """The target's logit (B,), and those of all classes with the target's at minus infinity (B, K)."""
    target = query.target[:, None]
    return logits.gather(1, target)[:, 0], logits.scatter(1, target, -torch.inf)
