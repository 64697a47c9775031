"""Exemplars along a request: gradient descent in the code of a generative model to each posterior in turn."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from counterfoil.core.bounds import Count, Pair, Positive, Probability, Weight
from counterfoil.core.counterfactuals import Found
from counterfoil.core.generator import Decodes, Encodes, require
from counterfoil.core.query import Query
from counterfoil.core.strip import Strip
from counterfoil.explainer.along import Returned, chosen
from counterfoil.explainer.base import Explainer
from counterfoil.search import L1, Candidate, Detail, Latent, Objective, Search, Term

REQUESTED = "requested posterior"
"""Under which a query remembers the posterior (B,) requested of each row."""


class XGEM(Explainer):
    """xGEM: one search in the latent space of a generative model for each posterior requested.

    min_z  H(p_k, f_t(G(z))) + lambda * mean |x - G(z)|,   z_0 = E(x),   p_k = (k - 1/2) / bins

    H is the cross-entropy of the two-way posterior, target against the rest. Each search runs all of its
    steps and keeps its last point. `strip` holds the images of all requests, least of the target first;
    counterfactual: see `returned`.

    Args:
        generator: encodes and decodes; a class-conditional one decodes under the target.
        lambda_: weight of the distance, a mean over pixels and channels.
        steps, lr: of Adam, per request.
        bins: requests per strip.
        returned: "first" image of the strip that reaches the target at `confidence`, or its "last".
        residual: give back what the generator cannot draw of the factual, see `Detail`.
        confidence, count: see `Explainer`; searches for further counterfactuals start from a disturbed code.

    Departures: the source requests a class, by the loss between the classifier's output and that class; here
    a posterior between the two is requested, as by the knob of progressive exaggeration. Adam in place of
    plain gradient descent; L1.
    Source: xGEMs: Generating Examplars to Explain Black-Box Models (Joshi et al., 2018), arXiv 1806.08867.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        lambda_: Weight = 1.0,
        steps: Count = 100,
        lr: Positive = 0.1,
        bins: Pair = 10,
        returned: Returned = "first",
        residual: bool = False,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Encodes, Decodes, method="xgem")
        super().__init__(classifier, generator, confidence=confidence, count=count)
        self.space = Latent(detail=Detail() if residual else None)
        self.objective = Objective(Requested(), distance=L1(lambda_))
        self.search = Search(steps, partial(Adam, lr=lr), last=True)
        self.bins = bins
        self.returned = returned

    def explain(self, query: Query) -> Found:
        """Search for all requests of all queries at once."""
        levels = (torch.arange(self.bins, device=query.target.device) + 0.5) / self.bins
        levels = levels.to(query.factual.dtype)
        rows = torch.arange(len(query), device=query.target.device)
        each = query[rows.repeat_interleave(self.bins)]
        each.remember(REQUESTED, lambda: levels.repeat(len(query)))
        found = self.search(each, self.space, self.objective)
        images = found.counterfactual.detach().clamp(0, 1).unflatten(0, (len(query), self.bins))
        with torch.no_grad():
            logits = query.classifier(images.flatten(0, 1)).unflatten(0, (len(query), self.bins))
        strip = Strip(images, levels.repeat(len(query), 1))
        steps, calls = (
            cost.view(len(query), self.bins).sum(1) for cost in (found.steps, found.classifier_calls)
        )
        return Found(images[rows, chosen(query, logits, self.returned)], steps, calls + self.bins, strip)


class Requested(Term):
    """H(p, f_t(x')): cross-entropy to the posterior p (B,) requested of each row, target against the rest."""

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """The cross-entropy (B,) in nats."""
        target = query.target[:, None]
        own = candidate.logits.gather(1, target)[:, 0]
        rest = candidate.logits.scatter(1, target, -torch.inf).logsumexp(1)
        wanted = query.remembered[REQUESTED].to(own)
        return F.binary_cross_entropy_with_logits(own - rest, wanted, reduction="none")
