"""A straight line in the code of a generative model, and where on it the decision flips."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from counterfoil.core.query import Query, probability_of
from counterfoil.search.space import Space

Hits = Callable[[Tensor, Tensor], Tensor]
"""Whether points at shifts (N,) of rows (N,) are far enough, (N,) bool."""


class Line:
    """z(s) = z_0 + s * d for each query, and what its points have cost.

    Args:
        query: B queries.
        space: decodes the codes "z".
        origin: z_0, (B, Z).
        direction: d, (B, Z).
        reach: largest shift s.
        points: on the grid of the march, s = 0 aside.

    Attributes:
        calls: (B,) int64, points graded so far.
    """

    def __init__(
        self, query: Query, space: Space, origin: Tensor, direction: Tensor, *, reach: float, points: int
    ) -> None:
        self.query, self.space = query, space
        self.origin, self.direction = origin, direction
        self.reach, self.points = reach, points
        self.calls = torch.zeros_like(query.target)

    def at(self, shift: Tensor, rows: Tensor | None = None) -> Tensor:
        """Codes at shifts, of all rows or of some."""
        origin, direction = (
            (self.origin, self.direction) if rows is None else (self.origin[rows], self.direction[rows])
        )
        point: Tensor = origin + shift.view(-1, *[1] * (origin.ndim - 1)) * direction
        return point

    def decode(self, shift: Tensor, rows: Tensor | None = None) -> Tensor:
        """Inputs at shifts, of all rows or of some."""
        query = self.query if rows is None else self.query[rows]
        return query.keep(self.space.decode(query, {"z": self.at(shift, rows)}))

    def grade(self, shift: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each point reaches the target, and the target's probability there."""
        query = self.query[rows]
        logits = query.classifier(self.decode(shift, rows))
        self.calls[rows] += 1
        return query.reached(logits), probability_of(logits, query.target)

    def hits(self, shift: Tensor, rows: Tensor) -> Tensor:
        """Whether each point reaches the target."""
        return self.grade(shift, rows)[0]

    def march(self) -> tuple[Tensor, Tensor]:
        """First shift on the grid that reaches the target, else the likeliest; and where it was reached."""
        best = torch.zeros_like(self.origin[:, 0])
        top = torch.full_like(best, -1.0)
        reached = torch.zeros_like(best, dtype=torch.bool)
        for step in range(self.points + 1):
            rows = (~reached).nonzero()[:, 0]
            if not len(rows):
                break
            shift = torch.full_like(best[rows], self.reach * step / self.points)
            hit, probability = self.grade(shift, rows)
            better = hit | (probability > top[rows])
            best[rows[better]] = shift[better]
            top[rows[better]] = probability[better]
            reached[rows] = hit
        return best, reached

    def refine(self, shift: Tensor, reached: Tensor, hits: Hits, bisections: int) -> Tensor:
        """The shifts reached, moved back to where `hits` begins to be true; halves the last interval."""
        rows = (reached & (shift > 0)).nonzero()[:, 0]
        high = shift[rows]
        low = (high - self.reach / self.points).clamp(min=0)
        for _ in range(bisections if len(rows) else 0):
            middle = (low + high) / 2
            hit = hits(middle, rows)
            high, low = torch.where(hit, middle, high), torch.where(hit, low, middle)
        return shift.index_copy(0, rows, high)


def uphill(query: Query, space: Space, origin: Tensor) -> Tensor:
    """g / ||g||_2 per row, g = d log f_t(G(z)) / dz at the origin; one image shown to the classifier."""
    origin = origin.detach().requires_grad_()
    with torch.enable_grad():
        logits = query.classifier(query.keep(space.decode(query, {"z": origin})))
        score = logits.log_softmax(1).gather(1, query.target[:, None]).sum()
        (gradient,) = torch.autograd.grad(score, origin)
    flat = gradient.flatten(1)
    norm = flat.norm(dim=1, keepdim=True).clamp(min=torch.finfo(flat.dtype).tiny)
    unit: Tensor = (flat / norm).view_as(gradient)
    return unit
