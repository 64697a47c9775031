"""Counterfactuals by swapping one token after another where the gradient says that it helps most."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Probability
from counterfoil.core.counterfactuals import Found
from counterfoil.core.domain import PADDING, UNKNOWN, Tokens
from counterfoil.core.query import Query, probability_of
from counterfoil.explainer.base import Explainer


class HotFlip(Explainer):
    """HotFlip: the token whose swap raises the target's log-probability most, by its gradient, one at a time.

    max over rows i and tokens v of  g_iv - g_iu,  g = d log f_t(x) / dx, u the token of row i

    Each row is swapped at most once; padding and unknown tokens come in nowhere, and padding stays. Of the
    `beam` swaps with the largest gain the one that the classifier gives the largest probability of the target
    is made. Without a counterfactual the likeliest text is returned.

    Args:
        flips: largest number of swaps.
        beam: swaps that are tried in each round; 1 trusts the gradient, as the source's greedy attack does.
        confidence, count: see `Explainer`; a further counterfactual starts with the next best swap.

    Departures: targeted; no constraint that a swap keeps the meaning, as a counterfactual need not.
    Source: HotFlip: White-Box Adversarial Examples for Text Classification (Ebrahimi et al., 2018), arXiv
    1712.06751.

    Raises:
        UserError: a classifier whose inputs are no one-hot rows.
    """

    inputs = Tokens

    def __init__(
        self,
        classifier: nn.Module,
        *,
        flips: Count = 10,
        beam: Count = 1,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        super().__init__(classifier, confidence=confidence, count=count)
        self.flips = flips
        self.beam = beam

    def explain(self, query: Query) -> Found:
        """Swap until the target is reached."""
        x, best = query.factual.clone(), query.factual.clone()
        top = probability_of(query.logits, query.target)
        free = self._free(query)
        steps, calls = torch.zeros_like(query.target), torch.zeros_like(query.target)
        alive = torch.ones_like(query.target, dtype=torch.bool)
        for turn in range(self.flips):
            rows = (alive & free.flatten(1).any(1)).nonzero()[:, 0]
            if not len(rows):
                break
            part = query[rows]
            gain = self._gain(part, x[rows], free[rows])
            made, logits, place = self._swap(part, x[rows], gain, turn)
            probability, reached = probability_of(logits, part.target), part.reached(logits)
            x[rows] = made
            free[rows, :, place] = False
            steps[rows] += 1
            calls[rows] += 1 + min(self.beam, gain.flatten(1).shape[1])
            better = rows[reached | (probability > top[rows])]
            best[better] = x[better]
            top[rows] = torch.maximum(probability, top[rows])
            alive[rows] = ~reached
        return Found(best, steps, calls)

    def _free(self, query: Query) -> Tensor:
        """Rows (B, 1, L) that may be swapped: not padding, and not under the mask."""
        free = query.factual.argmax(-1) != PADDING
        return free if query.mask is None else free & ~query.domain.fixed(query.mask)[..., 0]

    def _gain(self, query: Query, x: Tensor, free: Tensor) -> Tensor:
        """What each swap gains to first order: (B, L, V), -inf where it is not allowed."""
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            score = query.classifier(x).log_softmax(1).gather(1, query.target[:, None]).sum()
            (gradient,) = torch.autograd.grad(score, x)
        gain = gradient - (gradient * x.detach()).sum(-1, keepdim=True)
        barred = ~free[..., None] | (x.detach() > 0)  # the token that is there is no swap
        gain = gain.masked_fill(barred, -torch.inf)[:, 0]
        gain[..., [PADDING, UNKNOWN]] = -torch.inf
        return gain

    @torch.no_grad()
    def _swap(self, query: Query, x: Tensor, gain: Tensor, turn: int) -> tuple[Tensor, Tensor, Tensor]:
        """The best of the swaps with the largest gain, its logits (B, K), and the rows swapped (B,)."""
        tokens = gain.shape[-1]
        flat = gain.flatten(1)
        rank = torch.zeros_like(query.target) if query.repeat is None or turn else query.repeat
        width = min(self.beam, flat.shape[1])
        order = flat.topk(min(width + int(rank.max()), flat.shape[1]), dim=1).indices
        every = torch.arange(width, device=rank.device)
        chosen = order.gather(1, (rank[:, None] + every).clamp(max=order.shape[1] - 1))
        trials = torch.stack([_swapped(x, chosen[:, k], tokens) for k in range(width)], dim=1)
        logits = query.classifier(trials.flatten(0, 1)).unflatten(0, (len(query), width))
        told = probability_of(logits, query.target).argmax(1)
        each = torch.arange(len(query), device=rank.device)
        return trials[each, told], logits[each, told], chosen[each, told] // tokens


def _swapped(x: Tensor, place: Tensor, tokens: int) -> Tensor:
    """x with the token of one row each replaced; place = row * V + token."""
    made = x.clone()
    each = torch.arange(len(x), device=x.device)
    made[each, 0, place // tokens] = 0
    made[each, 0, place // tokens, place % tokens] = 1
    return made
