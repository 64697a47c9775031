"""Queries that were handed to a search: those that wait for a place, and what is known of the finished."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Found
from counterfoil.core.query import Query
from counterfoil.search.best import Best
from counterfoil.search.tradeoff import Tradeoff


class Asked:
    """A batch of queries on its way through a search.

    Args:
        place: its number among the batches.
        query: the batch.
        tradeoff: the rounds that each query may take.
    """

    def __init__(self, place: int, query: Query, tradeoff: Tradeoff) -> None:
        self.place, self.query, self.tradeoff = place, query, tradeoff
        self.best = Best.empty(query)
        self.value, self.failed, self.succeeded = tradeoff.start(self.best.distance)
        self.rounds = [0] * len(query)
        self.exact = torch.zeros(len(query), dtype=torch.bool)
        self.seconds = torch.zeros(len(query), dtype=torch.float64)
        self.left = len(query)
        self._repeat = [0] * len(query) if query.repeat is None else query.repeat.tolist()

    def first(self, row: int) -> int:
        """The first counterfactual of the row's query."""
        return row - int(self._repeat[row])

    def take_back(
        self, rows: Sequence[int], best: Best, seconds: Tensor, together: bool = False
    ) -> list[int]:
        """What is known of rows whose round is over; returns those that go into another.

        `together` siblings of such a row go with it.
        """
        at = torch.tensor(rows, device=best.steps.device)
        self.best.put(at, best)
        self.seconds[torch.tensor(rows)] += seconds
        now = self.tradeoff.update(self.value[at], self.failed[at], self.succeeded[at], best.success)
        for whole, part in zip((self.value, self.failed, self.succeeded), now, strict=True):
            whole[at] = part
        again = []
        for row, success in zip(rows, best.success.tolist(), strict=True):
            self.rounds[row] += 1
            self.exact[row] = not success
            if self.rounds[row] < self.tradeoff.rounds and (self.tradeoff.bisect or not success):
                again.append(row)
        if together:
            firsts = {self.first(row) for row in again}
            again = [row for row in rows if self.first(row) in firsts]
        self.left -= len(rows) - len(again)
        return again

    def found(self, images: int, before: Tensor | int, timed: bool) -> Found:
        """What was found, given what the classifier was shown for each row beside one image per point.

        Args:
            images: at each step.
            before: once, of all rows or of each (B,).
            timed: whether each row has its own seconds.
        """
        best = self.best
        points = best.steps + best.regraded + best.steps.new_tensor(self.rounds)
        return Found(
            best.counterfactual,
            best.steps,
            points + images * best.steps + before,
            changes=best.changes,
            extra=best.extra,
            seconds=self.seconds.to(best.steps.device) if timed else None,
        )


class Feed:
    """Batches of queries in their order, opened one after the other as there is room for them.

    Args:
        queries: the batches.
        tradeoff: see `Asked`.
        prepare: called with each batch when it is opened.
        together: whether the counterfactuals of a query come and go together.
    """

    def __init__(
        self,
        queries: Iterable[Query],
        tradeoff: Tradeoff,
        prepare: Callable[[Query], None],
        together: bool = False,
    ) -> None:
        self._batches = enumerate(queries)
        self._tradeoff, self._prepare, self._together = tradeoff, prepare, together
        self._waiting: deque[tuple[Asked, int]] = deque()
        self._over: list[Asked] = []

    def take(self, room: int) -> list[tuple[Asked, int]]:
        """The next rows, at most so many, or up to the end of a query; fewer where no more are left."""
        while len(self._waiting) < room and (batch := next(self._batches, None)) is not None:
            asked = Asked(*batch, self._tradeoff)
            self._prepare(asked.query)
            self._waiting.extend((asked, row) for row in range(len(asked.query)))
        rows = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        while self._together and rows and self._waiting and self._follows(rows[-1]):
            rows.append(self._waiting.popleft())
        return rows

    def _follows(self, last: tuple[Asked, int]) -> bool:
        """Whether the next row is of the query of this one."""
        asked, row = self._waiting[0]
        return asked is last[0] and asked.first(row) == asked.first(last[1])

    def put_back(self, rows: Sequence[tuple[Asked, int]]) -> None:
        """Rows that were taken and have to begin their round again; they are next."""
        self._waiting.extendleft(reversed(rows))

    def take_back(self, asked: Asked, rows: Sequence[int], best: Best, seconds: Tensor) -> None:
        """What is known of rows of a batch whose round is over; those that go into another are next."""
        again = asked.take_back(rows, best, seconds, self._together)
        self._waiting.extendleft((asked, row) for row in reversed(again))
        if not asked.left:
            self._over.append(asked)

    def finished(self) -> Iterator[Asked]:
        """Batches all of whose rows are finished, each once."""
        while self._over:
            yield self._over.pop(0)


def by_batch(rows: Sequence[tuple[Asked, int]]) -> Iterator[tuple[Asked, list[int], list[int]]]:
    """Each batch among these rows with the places of its rows here, and its own numbers of them."""
    places: dict[int, tuple[Asked, list[int], list[int]]] = {}
    for place, (asked, row) in enumerate(rows):
        _, here, own = places.setdefault(asked.place, (asked, [], []))
        here.append(place)
        own.append(row)
    yield from places.values()
