"""The one loop behind every optimised method."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor

from counterfoil.core.bounds import Count, Share, Whole
from counterfoil.core.counterfactuals import Found, unknown
from counterfoil.core.options import shows_options
from counterfoil.core.query import Query
from counterfoil.search.batch import Batch, Origin
from counterfoil.search.candidate import Candidate, Moment, Variables
from counterfoil.search.feed import Feed, by_batch
from counterfoil.search.memory import out_of_memory
from counterfoil.search.precision import FEW, Lowered, Point, Precision, lowers, regraded
from counterfoil.search.space import Space
from counterfoil.search.stop import Stop
from counterfoil.search.term import Objective
from counterfoil.search.tradeoff import Tradeoff
from counterfoil.util.rows import MakeOptimizer, RowOptimizer

log = logging.getLogger("counterfoil")
FIRST, ONCE = Stop(), Tradeoff()
"""The first counterfactual ends a query; the flip weighs 1, in one round."""
ON_CUDA = 8
"""Steps between two looks at what is finished on a GPU, which the host would wait for at each."""


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
        refill: queries at work at once; those that wait, of the same batch or of the next ones, take the
            places of finished ones, so that the batch stays full. None: all of a batch at once, and no other.
            A query is then charged its share of each step's seconds.
        every: steps between two looks at which queries are finished, for which the host waits for the device;
            finished queries only take up room until then. None: 8 on CUDA, else 1.
        precision: of the networks: "float32", that is the images' own; "bf16", bfloat16 with channels last;
            or "auto", see `lowers`. In bfloat16 a point that reaches the confidence is decoded and graded
            again in float32 before it counts. A query without a counterfactual whose point fails there goes
            on in float32, and so does one whose round ends without any; so do the last few of a batch.
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
        refill: Count | None = None,
        every: Count | None = None,
        precision: Precision = "float32",
    ) -> None:
        self.steps = steps
        self.optimizer = optimizer
        self.stop = Stop(None) if last else stop
        self.tradeoff = ONCE if last else tradeoff
        self.crowd = crowd
        self.last = last
        self.refill = refill
        self.every = every
        self.precision = precision
        self._lowered = Lowered()
        self._most: int | None = None

    def __call__(self, query: Query, space: Space, objective: Objective) -> Found:
        """Search for every query of the batch, in parts where the space says that fewer fit."""
        fitting = self.capacity(query, space)
        if self.refills(space):
            return self._search(query, space, objective, min(self.refill or fitting, fitting))
        if objective.siblings:
            fitting = fitting // _several(query) * _several(query) or _several(query)
        if fitting >= len(query):
            return self._search(query, space, objective, fitting)
        return _join(
            [
                self._search(query[part], space, objective, fitting)
                for part in torch.arange(len(query)).to(query.target).split(fitting)
            ]
        )

    def stream(
        self, queries: Iterable[Query], space: Space, objective: Objective
    ) -> Iterator[tuple[int, Found]]:
        """What is found for each batch of queries, with the number of the batch, as soon as it is finished.

        With `refill` a batch is opened while others are still at work, and they finish in any order.
        """
        if not self.refills(space):
            for place, query in enumerate(queries):
                yield place, self(query, space, objective)
            return
        rest = iter(queries)
        for first in rest:
            fitting, width = self.capacity(first, space), self.refill or len(first)
            width = min(width, fitting) if fitting < len(first) else width
            yield from self._run(chain([first], rest), space, objective, width)

    def capacity(self, query: Query, space: Space) -> int:
        """How many of the queries can be searched at once, by the space and by what went wrong before."""
        fitting = space.capacity(query)
        return fitting if self._most is None else min(fitting, self._most)

    def refills(self, space: Space) -> bool:
        """Whether waiting queries take the places of finished ones in this space."""
        return self.refill is not None and space.refills

    def lowers(self, query: Query) -> bool:
        """Whether the networks of these queries run in bfloat16."""
        return lowers(self.precision, query.factual.device, query.factual.dtype)

    def _search(self, query: Query, space: Space, objective: Objective, width: int) -> Found:
        ((_place, found),) = self._run([query], space, objective, width)
        return found

    def _run(
        self, queries: Iterable[Query], space: Space, objective: Objective, width: int
    ) -> Iterator[tuple[int, Found]]:
        """Rows come in, at most `width` at once, move until enough are finished, and these are taken out."""
        mixed, images, whole = self.refills(space), objective.images, width

        def prepare(query: Query) -> None:
            layers = objective.layers(query.classifier)
            if layers:
                query.features(layers)
            space.prepare(query)

        def optimizer(variables: Variables) -> RowOptimizer:
            return RowOptimizer(self.optimizer, variables, self.steps, mixed)

        together = objective.siblings
        feed, batch = Feed(queries, self.tradeoff, prepare, together), None
        layers: tuple[str, ...] | None = None
        kept: list[int] = []

        def work(fresh: list[Origin]) -> Batch:
            """The rows that are kept and fresh ones, moved until enough are finished."""
            nonlocal kept, layers
            since = time.perf_counter()
            coming = Batch.of(fresh, space, optimizer, together) if fresh else None
            if coming is not None:
                coming.since = since
            if batch is not None:
                batch.keep(kept, coming)
            now = batch or coming
            assert now is not None
            if layers is None:
                layers = objective.layers(now.query.classifier)
            kept = self._advance(now, space, objective, layers)
            return now

        while True:
            batch = batch if kept else None
            # where all rows count alike, none may come in late because fewer fit than there are
            rows = feed.take(width - len(kept) if mixed or width >= whole or not kept else 0)
            at_work = [*([] if batch is None else (batch.origins[row] for row in kept)), *rows]
            if not at_work:
                return
            try:
                batch, narrower = work(rows), None
            except RuntimeError as error:
                if len(at_work) < 2 * (_several(at_work[0][0].query) if together else 1) or not out_of_memory(
                    error
                ):
                    raise
                narrower = len(at_work) // 2
            if narrower is not None:  # only now the rows' tensors are let go
                batch, kept, width, self._most = None, [], narrower, narrower
                feed.put_back(at_work)
                log.warning(f"out of memory with {len(at_work)} queries at once; it goes on with {width}")
                continue
            assert batch is not None
            _take_out(batch, kept, feed)
            for asked in feed.finished():
                before = space.spent(asked.query) + bool(layers) + images
                yield asked.place, asked.found(images, before, mixed)

    def _advance(self, batch: Batch, space: Space, objective: Objective, layers: Sequence[str]) -> list[int]:
        """Move a batch until enough of its rows are finished; returns the others."""
        every = self.every or (ON_CUDA if batch.alive.is_cuda else 1)
        while True:
            moment = batch.moment(self.steps)
            candidate, distance = self._evaluate(batch, space, objective, layers, moment)
            told = candidate, distance.detach()
            if self.lowers(batch.query) and not self.last:
                told = regraded(batch, space, objective, *told, moment)
            better = batch.best.update(batch.query, space, *told, batch.alive, self.last)
            batch.finish(better, self.stop)
            if batch.expire(self.steps):
                return []
            look = batch.clock % every == 0
            left = int(batch.at_work.count_nonzero()) if look else len(batch)
            if not left:
                return []
            batch.best.steps += batch.alive
            total, _parts = objective(batch.query, candidate, batch.tradeoff, distance)
            for value in batch.variables.values():
                value.grad = None
            total.backward(torch.ones_like(total))
            batch.optimizer.step()
            with torch.no_grad():
                space.project_(batch.query, batch.variables)
            batch.clock += 1
            if 0 < len(batch) - left >= self.crowd * len(batch):
                return list(batch.at_work.nonzero()[:, 0].tolist())

    def _evaluate(
        self, batch: Batch, space: Space, objective: Objective, layers: Sequence[str], moment: Moment
    ) -> tuple[Candidate, Tensor]:
        query = batch.query
        if self.lowers(query):
            if len(query) < FEW:
                batch.exact.fill_(True)
            exact = batch.exact if not self.last else batch.exact | torch.as_tensor(moment.step >= self.steps)
            point = self._lowered.point(query, space, batch.variables, layers, exact, moment)
        else:
            point = Point.of(query, space, batch.variables, layers, moment)
        candidate = Candidate(
            batch.variables,
            point.decoded,
            point.logits,
            moment.progress,
            point.features,
            space.gradable(query, moment),
            batch.siblings,
        )
        return candidate, objective.distance(query, candidate)


def _several(query: Query) -> int:
    """Counterfactuals of each query."""
    return 1 if query.repeat is None else int(query.repeat.max()) + 1


def _take_out(batch: Batch, kept: Sequence[int], feed: Feed) -> None:
    """Hand back what is known of the rows that are not kept."""
    batch.spend()
    staying = set(kept)
    gone = [row for row in range(len(batch)) if row not in staying]
    for asked, here, own in by_batch([batch.origins[row] for row in gone]):
        at = torch.tensor([gone[place] for place in here])
        feed.take_back(asked, own, batch.best[at.to(batch.alive.device)], batch.seconds[at])


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
