"""Queries at work: rows that began at different times, side by side in one batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from counterfoil.core.query import Query
from counterfoil.search.best import Best
from counterfoil.search.candidate import Moment, Variables
from counterfoil.search.feed import Asked, by_batch
from counterfoil.search.space import Space
from counterfoil.search.stop import Stop
from counterfoil.util.rows import RowOptimizer

Origin = tuple[Asked, int]
"""The batch in which a query was handed in, and its row there."""


@dataclass
class Batch:
    """B queries, each in a round of its own.

    Attributes:
        origins: where each row comes from.
        query, best, tradeoff: of the rows, the last (B,).
        variables: the point at which each row stands.
        alive: (B,) bool, whether the row is not finished.
        idle: (B,) int64, steps since the last improvement; 0 where no `Stop` asks.
        exact: (B,) bool on the CPU, whether the row's networks run in float32 where others' do in bfloat16.
        begun: (B,) int64 on the CPU, the `clock` at which the row's round began.
        seconds: (B,) float64 on the CPU; what a step takes is shared equally among the rows at work, finished
            ones that are not taken out yet too.
        optimizer: what moves the variables.
        siblings: (B, S) int64, the rows of each row's query, itself among them, or None where they may part.
        clock: steps taken so far.
        since: when the time was last shared, see `spend`.
    """

    origins: list[Origin]
    query: Query
    best: Best
    tradeoff: Tensor
    variables: Variables
    alive: Tensor
    idle: Tensor
    exact: Tensor
    begun: Tensor
    seconds: Tensor
    optimizer: RowOptimizer
    siblings: Tensor | None = None
    clock: int = 0
    since: float = field(default_factory=time.perf_counter)

    @staticmethod
    def of(
        origins: Sequence[Origin],
        space: Space,
        optimizer: Callable[[Variables], RowOptimizer],
        together: bool = False,
    ) -> Batch:
        """Rows at the start of a round; `together` with their siblings."""
        groups = list(by_batch(origins))
        device = origins[0][0].query.target.device
        at = [torch.tensor(own, device=device) for _asked, _here, own in groups]
        query = Query.join([asked.query[rows] for (asked, _, _), rows in zip(groups, at, strict=True)])
        best = Best.join([asked.best[rows] for (asked, _, _), rows in zip(groups, at, strict=True)])
        best.success = torch.zeros_like(best.success)
        variables = {
            name: value.detach().clone().requires_grad_(name not in space.held)
            for name, value in space.start(query).items()
        }
        return Batch(
            origins=[(asked, row) for asked, _here, own in groups for row in own],
            query=query,
            best=best,
            tradeoff=torch.cat([asked.value[rows] for (asked, _, _), rows in zip(groups, at, strict=True)]),
            variables=variables,
            alive=torch.ones_like(best.success),
            idle=torch.zeros_like(query.target),
            exact=torch.cat([asked.exact[own] for asked, _here, own in groups]),
            begun=torch.zeros(len(query), dtype=torch.int64),
            seconds=torch.zeros(len(query), dtype=torch.float64),
            optimizer=optimizer(variables),
            siblings=siblings_of(origins) if together else None,
        )

    def __len__(self) -> int:
        return len(self.origins)

    @property
    def even(self) -> bool:
        """Whether all rows began together."""
        return isinstance(self.optimizer.made, int)

    @property
    def at_work(self) -> Tensor:
        """Rows (B,) that are not finished, or have siblings that are not: bool."""
        return self.alive if self.siblings is None else self.alive[self.siblings].any(1)

    def moment(self, steps: int) -> Moment:
        """How far the rows are in a round of so many steps."""
        age = self.age()
        return Moment(age, (age if isinstance(age, int) else age.double()) / max(steps, 1))

    def age(self) -> int | Tensor:
        """Steps taken in this round: of all rows, or (B,) int64 on the CPU where they began apart."""
        return self.optimizer.made if isinstance(self.optimizer.made, int) else self.clock - self.begun

    def finish(self, better: Tensor, stop: Stop) -> None:
        """Finish the rows that have waited long enough for a better point; `better` (B,) have found one."""
        if stop.patience is None:
            return
        if stop.patience:
            self.idle.add_(1).masked_fill_(better, 0)
        self.alive = self.alive > stop(self.best.success, self.idle)  # alive and not finished

    def expire(self, steps: int) -> bool:
        """Finish the rows that have taken all their steps; returns whether all have."""
        age = self.age()
        if isinstance(age, int):
            if age >= steps:
                self.alive = torch.zeros_like(self.alive)
            return age >= steps
        over = age >= steps
        if bool(over.any()):
            self.alive = self.alive & ~over.to(self.alive.device)
        return bool(over.all())

    def spend(self) -> None:
        """Share the time since the last call among the rows."""
        now = time.perf_counter()
        self.seconds += (now - self.since) / len(self)
        self.since = now

    def keep(self, rows: Sequence[int], fresh: Batch | None = None) -> None:
        """Keep some rows, and put `fresh` ones behind them."""
        more = [] if fresh is None else [fresh]
        on_host = torch.tensor(rows, dtype=torch.int64)
        at = on_host.to(self.alive.device)
        self.query = Query.join([self.query[at], *(other.query for other in more)])
        self.best = Best.join([self.best[at], *(other.best for other in more)])
        self.tradeoff = torch.cat([self.tradeoff[at], *(other.tradeoff for other in more)])
        self.alive = torch.cat([self.alive[at], *(other.alive for other in more)])
        self.idle = torch.cat([self.idle[at], *(other.idle for other in more)])
        self.exact = torch.cat([self.exact[on_host], *(other.exact for other in more)])
        self.begun = torch.cat([self.begun[on_host], *(other.begun + self.clock for other in more)])
        self.seconds = torch.cat([self.seconds[on_host], *(other.seconds for other in more)])
        self.origins = [
            *(self.origins[row] for row in rows),
            *(origin for other in more for origin in other.origins),
        ]
        if self.siblings is not None:
            self.siblings = siblings_of(self.origins)
        self.variables = self.optimizer.turn_over(
            self.variables, at, None if fresh is None else fresh.variables
        )


def siblings_of(origins: Sequence[Origin]) -> Tensor:
    """The places (B, S) of the rows of each row's query; as many for all, and all of them are here."""
    places: dict[tuple[int, int], list[int]] = {}
    first = [(asked.place, asked.first(row)) for asked, row in origins]
    for place, key in enumerate(first):
        places.setdefault(key, []).append(place)
    device = origins[0][0].query.target.device
    return torch.tensor([places[key] for key in first], device=device)
