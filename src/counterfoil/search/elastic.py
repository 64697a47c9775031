"""Pixels under an elastic net: FISTA's shrinkage in place of an L1 term, and the squared change as a term."""

from __future__ import annotations

import torch
from torch import Tensor

from counterfoil.core.bounds import Share, Weight
from counterfoil.core.domain import Continuous
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search.candidate import END, Candidate, Moment, Variables
from counterfoil.search.space import Space, condition_of
from counterfoil.search.term import Term


class Shrinking(Space):
    """Pixels that FISTA moves: after a gradient step at y the change is shrunk, then y runs ahead of it.

    x_{k+1} = clamp(x + S(y_k - lr grad - x)),   S(d) = sign(d) max(0, |d| - threshold)
    y_{k+1} = clamp(x_{k+1} + k / (k + 3) (x_{k+1} - x_k))

    The step is plain gradient descent's; an objective over this space holds no L1 term.

    Args:
        threshold: by which each change of a pixel is shrunk at each step.
        absent: value of a pixel with nothing in it, from which pixels may only move away, so that things are
            added alone; None: pixels move both ways.
        spread: see `Space`.

    Raises:
        UserError: a generative model that has diverged.

    Departures: graded at y, where the gradient is taken, instead of at x.
    Source: EAD: Elastic-Net Attacks to Deep Neural Networks via Adversarial Examples (Chen et al., 2018),
    arXiv 1709.04114.
    """

    held = ("x", "k")
    inputs = Continuous

    def __init__(self, threshold: Weight = 0.1, absent: Share | None = None, spread: Weight = 0.2) -> None:
        super().__init__(spread)
        self.threshold = threshold
        self.absent = absent

    @torch.no_grad()
    def prepare(self, query: Query) -> None:
        """Look whether the generative model that guides the search is sound, where there is one."""
        if query.generator is None:
            return
        code = query.generator.encode(query.factual, condition_of(query, query.source))
        if not bool(code.isfinite().all()):
            kind = type(query.generator).__name__
            raise UserError(f"generator: the codes of {kind} are not finite; train it again at a lower lr")

    def start(self, query: Query) -> Variables:
        """The factual, twice, and steps (B,) of 0."""
        x = self._disturb(query, query.factual).clamp(0, 1)
        return {"y": x, "x": x, "k": x.new_zeros(len(x))}

    def decode(self, query: Query, variables: Variables, moment: Moment = END) -> Tensor:
        """The point y."""
        return variables["y"]

    def project_(self, query: Query, variables: Variables) -> None:
        """Shrink the change, and run ahead."""
        y, x, k = (variables[name] for name in ("y", "x", "k"))
        change = y - query.factual
        shrunk = change.sign() * (change.abs() - self.threshold).clamp(min=0)
        near = self._added(query, (query.factual + shrunk).clamp(0, 1))
        ahead = (k / (k + 3)).view(-1, 1, 1, 1) * (near - x)
        y.copy_(self._added(query, (near + ahead).clamp(0, 1)))
        x.copy_(near)
        k.add_(1)

    def _added(self, query: Query, image: Tensor) -> Tensor:
        """The image where it is further from nothing than the factual, and the factual elsewhere."""
        if self.absent is None:
            return image
        more = (image - self.absent).abs() > (query.factual - self.absent).abs()
        return torch.where(more, image, query.factual)


class SquaredChange(Term):
    """sum (x' - x)^2 over pixels and channels."""

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """Sum of squared differences (B,)."""
        return (candidate.decoded - query.factual).square().flatten(1).sum(1)
