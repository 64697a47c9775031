"""Counterfactuals along one straight line in the code of an auto-encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Positive, Probability, Whole
from counterfoil.core.counterfactuals import Found
from counterfoil.core.generator import Decodes, Encodes, require
from counterfoil.core.query import Query, probability_of
from counterfoil.core.strip import Strip
from counterfoil.explainer.base import Explainer
from counterfoil.search.space import Latent


class LatentShift(Explainer):
    """Latent shift: walk along the gradient of the target's log-probability at the query's code.

    z(s) = z_0 + s * g / ||g||_2,  g = d log f_t(G(z)) / dz at z_0 = E(x);  the smallest s that is valid

    Args:
        generator: encodes and decodes.
        reach: largest shift, in units of the code.
        steps: points along the line; the crossing is then refined by `bisections` halvings.
        frames: images of the strip returned; 0 returns none.
        spacing: of the strip. "shift": evenly from no shift to the counterfactual's. "posterior": image k is
            the first along the line whose posterior of the target is the requested (k - 1/2) / frames; where
            none is, the likeliest.
        confidence, count: see `Explainer`.

    Departures: the direction is scaled to length 1 per query so that `reach` means the same for all; the
    gradient of the target's log-probability instead of the source's probability, so that there are targets.
    Source: Gifsplanation via Latent Shift (Cohen et al., 2021), arXiv 2102.09475.

    Raises:
        UserError: a spacing that is not known.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        reach: Positive = 12.0,
        steps: Count = 40,
        bisections: Whole = 4,
        frames: Whole = 0,
        spacing: Literal["shift", "posterior"] = "shift",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Encodes, Decodes, method="latent_shift")
        super().__init__(classifier, generator, confidence=confidence, count=count)
        self.reach = reach
        self.steps = steps
        self.bisections = bisections
        self.frames = frames
        self.spacing = spacing
        self.space = Latent()

    def explain(self, query: Query) -> Found:
        """March until the target is reached, then halve the last interval.

        Rows that fail keep their most probable point.
        """
        line = _Line(query, self.space)
        with torch.no_grad():
            shift, reached = self._march(line)
            steps = line.calls - 1
            shift = self._refine(shift, reached, lambda *point: line.grade(*point)[0])
            image = line.decode(shift)
            strip = self._strip(line, shift) if self.frames else None
        return Found(image, steps, line.calls, strip, extra={"z": line.at(shift)})

    def _march(self, line: _Line) -> tuple[Tensor, Tensor]:
        """First shift on the grid that reaches the target, else the likeliest; and where it was reached."""
        best = torch.zeros_like(line.origin[:, 0])
        top = torch.full_like(best, -1.0)
        reached = torch.zeros_like(best, dtype=torch.bool)
        for step in range(self.steps + 1):
            rows = (~reached).nonzero()[:, 0]
            if not len(rows):
                break
            shift = torch.full_like(best[rows], self.reach * step / self.steps)
            hit, probability = line.grade(shift, rows)
            better = hit | (probability > top[rows])
            best[rows[better]] = shift[better]
            top[rows[better]] = probability[better]
            reached[rows] = hit
        return best, reached

    def _refine(self, shift: Tensor, reached: Tensor, hits: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The shifts reached, moved back to where `hits` of a shift and its rows begins to be true."""
        rows = (reached & (shift > 0)).nonzero()[:, 0]
        high = shift[rows]
        low = (high - self.reach / self.steps).clamp(min=0)
        for _ in range(self.bisections if len(rows) else 0):
            middle = (low + high) / 2
            hit = hits(middle, rows)
            high, low = torch.where(hit, middle, high), torch.where(hit, low, middle)
        return shift.index_copy(0, rows, high)

    def _strip(self, line: _Line, shift: Tensor) -> Strip:
        if self.spacing == "shift":
            last = max(self.frames - 1, 1)
            return Strip(torch.stack([line.decode(shift * k / last) for k in range(self.frames)], dim=1))
        every = torch.arange(len(shift), device=shift.device)
        grid = [torch.full_like(shift, self.reach * step / self.steps) for step in range(self.steps + 1)]
        known = torch.stack([line.grade(point, every)[1] for point in grid], dim=1)
        levels = [(k + 0.5) / self.frames for k in range(self.frames)]
        images = [line.decode(self._level(line, known, level)) for level in levels]
        return Strip(torch.stack(images, dim=1), shift.new_tensor(levels).repeat(len(shift), 1))

    def _level(self, line: _Line, known: Tensor, level: float) -> Tensor:
        """The first shift at which the target's posterior, `known` on the grid, reaches a level."""
        hit = known >= level
        place = torch.where(hit.any(1), hit.int().argmax(1), known.argmax(1))
        shift = (self.reach * place / self.steps).to(known)
        return self._refine(shift, hit.any(1), lambda *point: line.grade(*point)[1] >= level)


class _Line:
    """The ray from each query's code along its gradient, and what its points have cost."""

    def __init__(self, query: Query, space: Latent) -> None:
        self.query = query
        self.space = space
        self.origin = space.start(query)["z"].detach().requires_grad_()
        logits = query.classifier(query.keep(space.decode(query, {"z": self.origin})))
        score = logits.log_softmax(1).gather(1, query.target[:, None]).sum()
        (gradient,) = torch.autograd.grad(score, self.origin)
        flat = gradient.flatten(1)
        norm = flat.norm(dim=1, keepdim=True).clamp(min=torch.finfo(flat.dtype).tiny)
        self.direction = (flat / norm).view_as(gradient)
        self.origin = self.origin.detach()
        self.calls = torch.ones_like(query.target)

    def at(self, shift: Tensor, rows: Tensor | None = None) -> Tensor:
        origin, direction = (
            (self.origin, self.direction) if rows is None else (self.origin[rows], self.direction[rows])
        )
        point: Tensor = origin + shift.view(-1, *[1] * (origin.ndim - 1)) * direction
        return point

    def decode(self, shift: Tensor, rows: Tensor | None = None) -> Tensor:
        query = self.query if rows is None else self.query[rows]
        return query.keep(self.space.decode(query, {"z": self.at(shift, rows)}))

    def grade(self, shift: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each point reaches the target, and the target's probability there."""
        query = self.query[rows]
        logits = query.classifier(self.decode(shift, rows))
        self.calls[rows] += 1
        return query.reached(logits), probability_of(logits, query.target)
