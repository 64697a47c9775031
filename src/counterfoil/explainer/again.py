"""Explains a second time: back to the own class, beside a little noise, and where nothing may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals, unknown
from counterfoil.explainer.base import Explainer

Pass = Literal["back", "noise", "own"]
"""What may be explained again."""
SIGMA = 0.05
"""Standard deviation of the noise."""
DECIDED = 1e-6
"""A confidence that every decision has."""


def again(
    explainer: Explainer,
    cf: Counterfactuals,
    passes: Sequence[Pass],
    *,
    mask: Tensor | None = None,
    place: Callable[[Tensor], Tensor] = lambda x: x,
) -> Counterfactuals:
    """The same counterfactuals, with those of further passes as extras named after them; costs stay.

    back: e(x', y), the way back to the class y = argmax f(x) of the factual.
    noise: e(clamp(x + 0.05 n), t), n normal, drawn from the number of the query alone.
    own: e(x, y), explained although f decides for y already, with no more confidence than this takes.

    Of several counterfactuals of a query the first is explained again; the rows of the others hold NaN.

    Args:
        explainer: e, which made the counterfactuals.
        cf: the counterfactuals, those of a query and target side by side.
        passes: which of them.
        mask: (H, W) bool, True where the images must not change.
        place: puts images (B, C, H, W) where the explainer works.
    """
    rows = torch.arange(0, len(cf), explainer.count, device=cf.target.device)
    first = cf[rows]
    found: dict[str, Tensor] = {}
    for name in passes:
        x, target = _question(name, first)
        x = place(x)
        with _asking(explainer, name):
            said = explainer(x, target.to(x.device), mask=mask).counterfactual
        whole = unknown(cf.factual, len(cf))
        whole[rows] = said[:: explainer.count].detach().to(whole)
        found[name] = whole
    return replace(cf, extra={**cf.extra, **found})


def noisy(x: Tensor, query: Tensor) -> Tensor:
    """Images (B, C, H, W) in [0, 1] with a little noise, drawn from the number (B,) of each query."""
    drawn = [torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(i)) for i in query.tolist()]
    return (x + SIGMA * torch.stack(drawn).to(x)).clamp(0, 1)


def _question(name: Pass, cf: Counterfactuals) -> tuple[Tensor, Tensor]:
    """The images and classes of a pass."""
    if name == "back":
        return cf.counterfactual, cf.source
    return (cf.factual, cf.source) if name == "own" else (noisy(cf.factual, cf.query), cf.target)


@contextmanager
def _asking(explainer: Explainer, name: Pass) -> Iterator[None]:
    """Within, a way back leads to the own class alone, and such a query is explained at any confidence."""
    kept = explainer.asks_all, explainer.confidence, explainer.any_class
    if name == "own":
        explainer.asks_all, explainer.confidence = True, DECIDED
    if name != "noise":
        explainer.any_class = False
    try:
        yield
    finally:
        explainer.asks_all, explainer.confidence, explainer.any_class = kept
