"""The best point so far of each query of a batch, and what it has cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.query import Query
from counterfoil.search.candidate import Candidate, Variables
from counterfoil.search.space import Space


@dataclass
class Best:
    """The nearest counterfactual that reaches the confidence; failing that, the likeliest point.

    Attributes:
        counterfactual: (B, C, H, W); NaN where no point was finite.
        distance: (B,) of the nearest counterfactual; infinite before there is one.
        likelihood: (B,) of the likeliest point; 2, which none exceeds, once there is a counterfactual.
        success: (B,) bool, whether the round that runs has a counterfactual.
        steps: (B,) int64.
        regraded: (B,) int64, points that the classifier was shown a second time, in float32.
        changes, extra: what the space tells of these points.
    """

    counterfactual: Tensor
    distance: Tensor
    likelihood: Tensor
    success: Tensor
    steps: Tensor
    regraded: Tensor
    changes: Variables = field(default_factory=dict)
    extra: Variables = field(default_factory=dict)

    @staticmethod
    def empty(query: Query) -> Best:
        """Nothing is known of the queries yet."""
        like = query.factual.flatten(1)[:, 0]
        return Best(
            counterfactual=torch.full_like(query.factual, torch.nan),
            distance=torch.full_like(like, torch.inf),
            likelihood=torch.full_like(like, -1.0),
            success=torch.zeros_like(query.target, dtype=torch.bool),
            steps=torch.zeros_like(query.target),
            regraded=torch.zeros_like(query.target),
        )

    def __getitem__(self, rows: Tensor) -> Best:
        """A copy of some rows (int64)."""
        named: dict[str, Any] = {
            name: value[rows]
            if isinstance(value, Tensor)
            else {key: entry[rows] for key, entry in value.items()}
            for name, value in vars(self).items()
        }
        return Best(**named)

    @staticmethod
    def join(parts: Sequence[Best]) -> Best:
        """Rows behind rows; what only some parts tell is 0 in the others."""
        if len(parts) == 1:
            return parts[0]
        sizes = [len(part.steps) for part in parts]
        named: dict[str, Any] = {}
        for name in (f.name for f in fields(Best)):
            values = [getattr(part, name) for part in parts]
            named[name] = torch.cat(values) if isinstance(values[0], Tensor) else _columns(values, sizes)
        return Best(**named)

    def put(self, rows: Tensor, part: Best) -> None:
        """Write rows (int64) back."""
        for name, value in vars(part).items():
            own = getattr(self, name)
            if isinstance(value, Tensor):
                own[rows] = value
            else:
                for key, entry in value.items():
                    own.setdefault(key, entry.new_zeros(len(self.steps), *entry.shape[1:]))[rows] = entry

    def update(
        self,
        query: Query,
        space: Space,
        candidate: Candidate,
        distance: Tensor,
        alive: Tensor,
        last: bool = False,
    ) -> Tensor:
        """Keep better points, or with `last` every point; returns where there was one, (B,) bool."""
        reached, probability = query.grade(candidate.logits.detach())
        alive = alive if candidate.gradable is None else alive & candidate.gradable
        reached = reached & alive
        self.success |= reached
        nearer = reached & (distance < self.distance)
        better = alive if last else nearer | (alive & (probability > self.likelihood))
        # asking is cheaper than copying, but makes the host wait for a GPU
        if better.is_cuda or bool(better.any()):
            self.distance = torch.where(nearer, distance, self.distance)
            self.likelihood = torch.where(better, probability, self.likelihood).masked_fill_(reached, 2.0)
            self.counterfactual = _choose(better, candidate.decoded.detach(), self.counterfactual)
            point = {name: value.detach() for name, value in candidate.variables.items()}
            for own, told in ((self.changes, space.changes(point)), (self.extra, space.extra(point))):
                for name, value in told.items():
                    own[name] = _choose(better, value, own[name]) if name in own else _only(better, value)
        return better


def _columns(tables: Sequence[Variables], sizes: Sequence[int]) -> Variables:
    like = {name: value for table in tables for name, value in table.items()}
    return {
        name: torch.cat(
            [t.get(name, value.new_zeros(n, *value.shape[1:])) for t, n in zip(tables, sizes, strict=True)]
        )
        for name, value in like.items()
    }


def _choose(rows: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(rows.view(-1, *[1] * (new.ndim - 1)), new, old)


def _only(rows: Tensor, new: Tensor) -> Tensor:
    return _choose(rows, new, torch.zeros_like(new))
