"""Counterfactuals along one straight line in the code of an auto-encoder."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Positive, Probability, Whole
from counterfoil.core.counterfactuals import Found
from counterfoil.core.generator import Decodes, Encodes, require
from counterfoil.core.query import Query
from counterfoil.core.strip import Strip
from counterfoil.explainer.base import Explainer
from counterfoil.search.detail import Detail
from counterfoil.search.line import Line, uphill
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
        residual: give back what the generator cannot draw of the factual, see `Detail`.
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
        residual: bool = False,
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
        self.space = Latent(detail=Detail() if residual else None)

    def explain(self, query: Query) -> Found:
        """March until the target is reached, then halve the last interval.

        Rows that fail keep their most probable point.
        """
        self.space.prepare(query)
        origin = self.space.start(query)["z"].detach()
        direction = uphill(query, self.space, origin)
        line = Line(query, self.space, origin, direction, reach=self.reach, points=self.steps)
        with torch.no_grad():
            shift, reached = line.march()
            steps = line.calls.clone()
            shift = line.refine(shift, reached, line.hits, self.bisections)
            image = line.decode(shift)
            strip = self._strip(line, shift) if self.frames else None
        return Found(image, steps, line.calls + 1, strip, extra={"z": line.at(shift)})

    def _strip(self, line: Line, shift: Tensor) -> Strip:
        if self.spacing == "shift":
            last = max(self.frames - 1, 1)
            return Strip(torch.stack([line.decode(shift * k / last) for k in range(self.frames)], dim=1))
        every = torch.arange(len(shift), device=shift.device)
        grid = [torch.full_like(shift, self.reach * step / self.steps) for step in range(self.steps + 1)]
        known = torch.stack([line.grade(point, every)[1] for point in grid], dim=1)
        levels = [(k + 0.5) / self.frames for k in range(self.frames)]
        images = [line.decode(self._level(line, known, level)) for level in levels]
        return Strip(torch.stack(images, dim=1), shift.new_tensor(levels).repeat(len(shift), 1))

    def _level(self, line: Line, known: Tensor, level: float) -> Tensor:
        """The first shift at which the target's posterior, `known` on the grid, reaches a level."""
        hit = known >= level
        place = torch.where(hit.any(1), hit.int().argmax(1), known.argmax(1))
        shift = (self.reach * place / self.steps).to(known)
        return line.refine(shift, hit.any(1), lambda *point: line.grade(*point)[1] >= level, self.bisections)
