"""The one loop behind every optimised method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.bounds import Share, Whole
from counterfoil.core.counterfactuals import Found, unknown
from counterfoil.core.options import shows_options
from counterfoil.core.query import Query
from counterfoil.core.taps import read
from counterfoil.search.candidate import Candidate, Variables
from counterfoil.search.space import Space
from counterfoil.search.stop import Stop
from counterfoil.search.term import Objective
from counterfoil.search.tradeoff import Tradeoff
from counterfoil.util.rows import take_rows

FIRST, ONCE = Stop(), Tradeoff()
"""The first counterfactual ends a query; the flip weighs 1, in one round."""
MakeOptimizer = Callable[[list[Tensor]], torch.optim.Optimizer]


@shows_options
class Search:
    """Gradient descent on B independent problems at once; finished queries leave the batch.

    Per query it keeps the nearest counterfactual that reaches the confidence; failing that, the one with the
    largest target probability. A query is charged one classifier call for each point at which it was
    evaluated.

    Args:
        steps: largest number of steps per round.
        optimizer: makes a torch optimiser from a list of tensors; its state must be elementwise (SGD, Adam,
            ...).
        stop: when a query is finished.
        tradeoff: rounds and the weight of the flip in each.
        crowd: finished queries are taken out once they are at least this share of the batch; 0 takes them out
            at once.
        last: run every step of one round for every query and keep the last point, whatever it reaches; `stop`
            and further rounds are without effect.
    """

    def __init__(
        self,
        steps: Whole,
        optimizer: MakeOptimizer,
        *,
        stop: Stop = FIRST,
        tradeoff: Tradeoff = ONCE,
        crowd: Share = 0.1,
        last: bool = False,
    ) -> None:
        self.steps = steps
        self.optimizer = optimizer
        self.stop = Stop(None) if last else stop
        self.tradeoff = ONCE if last else tradeoff
        self.crowd = crowd
        self.last = last

    def __call__(self, query: Query, space: Space, objective: Objective) -> Found:
        """Search for every query of the batch, in parts where the space says that fewer fit."""
        fitting = space.capacity(query)
        if fitting >= len(query):
            return self._search(query, space, objective)
        return _join(
            [
                self._search(query[part], space, objective)
                for part in torch.arange(len(query)).to(query.target).split(fitting)
            ]
        )

    def _search(self, query: Query, space: Space, objective: Objective) -> Found:
        best = _Best.empty(query)
        layers = objective.layers(query.classifier)
        if layers:
            query.features(layers)
        if layers or objective.images:
            best.calls += bool(layers) + objective.images
        space.prepare(query)
        rows = torch.arange(len(query), device=query.factual.device)
        value, failed, succeeded = self.tradeoff.start(best.distance)
        for _round in range(self.tradeoff.rounds):
            best.success = torch.zeros_like(best.found)
            best.put(rows, self._descend(query[rows], space, objective, value[rows], best[rows]))
            value, failed, succeeded = self.tradeoff.update(value, failed, succeeded, best.success)
            if not self.tradeoff.bisect:
                rows = rows[~best.success[rows]]
            if not len(rows):
                break
        return Found(best.counterfactual, best.steps, best.calls, changes=best.changes, extra=best.extra)

    def _descend(
        self, query: Query, space: Space, objective: Objective, tradeoff: Tensor, whole: _Best
    ) -> _Best:
        """One round for the queries of `whole`; returns what is known of them after it."""
        best, places = whole, torch.arange(len(query), device=query.factual.device)
        alive, idle = torch.ones_like(best.success), torch.zeros_like(places)
        layers, images = objective.layers(query.classifier), objective.images
        variables = {
            name: value.detach().clone().requires_grad_(name not in space.held)
            for name, value in space.start(query).items()
        }
        optimizer = self.optimizer([value for name, value in variables.items() if name not in space.held])
        for step in range(self.steps + 1):
            candidate, distance = self._evaluate(query, space, objective, variables, layers, step)
            better = best.update(query, space, candidate, distance.detach(), alive, self.last)
            idle = torch.where(better, 0, idle + 1)
            alive = alive & ~self.stop(best.success, idle)
            left = int(alive.count_nonzero())
            if step == self.steps or not left:
                break
            best.steps += alive
            if images:
                best.calls += images * alive
            total, _parts = objective(query, candidate, tradeoff, distance)
            for value in variables.values():
                value.grad = None
            total.sum().backward()
            optimizer.step()
            with torch.no_grad():
                space.project_(query, variables)
            if 0 < len(alive) - left >= self.crowd * len(alive):
                whole.put(places, best)
                variables = take_rows(optimizer, variables, alive)
                query, tradeoff, places, best, idle = (
                    query[alive],
                    tradeoff[alive],
                    places[alive],
                    best[alive],
                    idle[alive],
                )
                alive = alive[alive]
        whole.put(places, best)
        return whole

    def _evaluate(
        self,
        query: Query,
        space: Space,
        objective: Objective,
        variables: Variables,
        layers: Sequence[str],
        step: int,
    ) -> tuple[Candidate, Tensor]:
        decoded = query.keep(space.decode(query, variables))
        logits, features = read(query.classifier, decoded, layers)
        candidate = Candidate(variables, decoded, logits, step / max(self.steps, 1), features)
        return candidate, objective.distance(query, candidate)


@dataclass
class _Best:
    """The best point so far of each query of a batch, and what it has cost.

    `success` is about the round that runs.
    """

    counterfactual: Tensor
    distance: Tensor
    probability: Tensor
    found: Tensor
    success: Tensor
    steps: Tensor
    calls: Tensor
    changes: Variables = field(default_factory=dict)
    extra: Variables = field(default_factory=dict)

    @staticmethod
    def empty(query: Query) -> _Best:
        like = query.factual.flatten(1)[:, 0]
        zeros = torch.zeros_like(query.target)
        return _Best(
            counterfactual=torch.full_like(query.factual, torch.nan),  # stays so where no point is finite
            distance=torch.full_like(like, torch.inf),
            probability=torch.full_like(like, -1.0),
            found=zeros.bool(),
            success=zeros.bool(),
            steps=zeros.clone(),
            calls=zeros,
        )

    def __getitem__(self, rows: Tensor) -> _Best:
        """A copy of some rows, so that the steps between two removals work on whole tensors."""
        named: dict[str, Any] = {
            name: value[rows]
            if isinstance(value, Tensor)
            else {key: entry[rows] for key, entry in value.items()}
            for name, value in vars(self).items()
        }
        return _Best(**named)

    def put(self, rows: Tensor, part: _Best) -> None:
        """Write rows (int64) back; nothing to do for the batch itself."""
        if part is self:
            return
        for name, value in vars(part).items():
            own = getattr(self, name)
            if isinstance(value, Tensor):
                own[rows] = value
            else:
                for key, entry in value.items():
                    own.setdefault(key, entry.new_zeros(len(self.found), *entry.shape[1:]))[rows] = entry

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
        self.calls += alive
        reached, probability = query.grade(candidate.logits.detach())
        reached = reached & alive
        self.found = self.found | reached
        self.success = self.success | reached
        nearer = reached & (distance < self.distance)
        better = alive if last else nearer | (alive & ~self.found & (probability > self.probability))
        if bool(better.any()):
            self.distance = torch.where(nearer, distance, self.distance)
            self.probability = torch.where(better, probability, self.probability)
            self.counterfactual = _choose(better, candidate.decoded.detach(), self.counterfactual)
            point = {name: value.detach() for name, value in candidate.variables.items()}
            for own, told in ((self.changes, space.changes(point)), (self.extra, space.extra(point))):
                for name, value in told.items():
                    own[name] = _choose(better, value, own.get(name, torch.zeros_like(value)))
        return better


def _join(parts: Sequence[Found]) -> Found:
    """The counterfactuals of consecutive parts of a batch."""
    sizes = [len(part.counterfactual) for part in parts]
    return Found(
        torch.cat([part.counterfactual for part in parts]),
        torch.cat([part.steps for part in parts]),
        torch.cat([part.classifier_calls for part in parts]),
        changes=_columns([part.changes for part in parts], sizes),
        extra=_columns([part.extra for part in parts], sizes),
    )


def _columns(tables: Sequence[Mapping[str, Tensor]], sizes: Sequence[int]) -> dict[str, Tensor]:
    """Tables joined; a part in which no point was finite has nothing to tell."""
    like = {name: value for table in tables for name, value in table.items()}
    return {
        name: torch.cat(
            [t[name] if name in t else unknown(value, n) for t, n in zip(tables, sizes, strict=True)]
        )
        for name, value in like.items()
    }


def _choose(rows: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(rows.view(-1, *[1] * (new.ndim - 1)), new, old)
