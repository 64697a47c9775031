"""How to look: the one loop behind every optimised method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Found
from counterfoil.core.query import Query, probability_of
from counterfoil.search.candidate import Candidate, Variables
from counterfoil.search.space import Space
from counterfoil.search.stop import Stop
from counterfoil.search.term import Objective
from counterfoil.search.tradeoff import Tradeoff

MakeOptimizer = Callable[[list[Tensor]], torch.optim.Optimizer]


class Search:
    """Gradient descent on B independent problems at once; finished queries leave the batch.

    Per query it keeps the nearest answer that reaches the confidence; failing that, the one with the largest target
    probability. A query is charged one classifier call for each point at which it was evaluated.

    Args:
        steps: largest number of steps a round.
        optimizer: makes a torch optimiser from a list of tensors; its state must be elementwise (SGD, Adam, ...).
        stop: when a query is finished.
        tradeoff: rounds and the weight of the flip in each.
        crowd: finished queries are taken out once they are at least this share of the batch; 0 takes them out at once.
    """

    def __init__(
        self,
        steps: int,
        optimizer: MakeOptimizer,
        *,
        stop: Stop | None = None,
        tradeoff: Tradeoff | None = None,
        crowd: float = 0.1,
    ) -> None:
        self.steps = steps
        self.optimizer = optimizer
        self.stop = stop or Stop()
        self.tradeoff = tradeoff or Tradeoff()
        self.crowd = crowd

    def __call__(self, query: Query, space: Space, objective: Objective) -> Found:
        """Search for every query of the batch."""
        best = _Best.empty(query, space)
        rows = torch.arange(len(query), device=query.factual.device)
        value, failed, succeeded = self.tradeoff.start(best.distance)
        for _round in range(self.tradeoff.rounds):
            success = torch.zeros_like(best.found)
            success[rows] = self._descend(query[rows], space, objective, value[rows], best, rows)
            value, failed, succeeded = self.tradeoff.update(value, failed, succeeded, success)
            if not self.tradeoff.bisect:
                rows = rows[~success[rows]]
            if not len(rows):
                break
        return Found(best.counterfactual, best.steps, best.calls, extra=best.extra)

    def _descend(
        self, query: Query, space: Space, objective: Objective, tradeoff: Tensor, best: _Best, rows: Tensor
    ) -> Tensor:
        """One round for `rows`; returns which of them succeeded in it: (len(rows),) bool."""
        success = torch.zeros_like(rows, dtype=torch.bool)
        idle = torch.zeros_like(rows)
        alive = torch.ones_like(success)
        places = torch.arange(len(rows), device=rows.device)
        variables = {name: value.detach().clone().requires_grad_(name not in space.held) for name, value in space.start(query).items()}
        optimizer = self.optimizer([value for name, value in variables.items() if name not in space.held])
        for step in range(self.steps + 1):
            candidate, distance = self._evaluate(query, space, objective, variables, step)
            reached = query.reached(candidate.logits.detach()) & alive
            better = best.update(rows, query, candidate, distance.detach(), reached, alive)
            success[places] |= reached
            idle = torch.where(better, 0, idle + 1)
            alive = alive & ~self.stop(success[places], idle)
            if step == self.steps or not bool(alive.any()):
                break
            best.steps[rows] += alive
            total, _parts = objective(query, candidate, tradeoff, distance)
            optimizer.zero_grad(set_to_none=True)
            total.sum().backward()
            optimizer.step()
            with torch.no_grad():
                space.project_(query, variables)
            if float(1 - alive.float().mean()) > self.crowd:
                variables = take_rows(optimizer, variables, alive)
                query, tradeoff, rows, places, idle = query[alive], tradeoff[alive], rows[alive], places[alive], idle[alive]
                alive = alive[alive]
        return success

    def _evaluate(
        self, query: Query, space: Space, objective: Objective, variables: Variables, step: int
    ) -> tuple[Candidate, Tensor]:
        decoded = query.keep(space.decode(query, variables))
        candidate = Candidate(variables, decoded, query.classifier(decoded), step / max(self.steps, 1))
        return candidate, objective.distance(query, candidate)


@dataclass
class _Best:
    """The best point so far of each query of a whole batch, and what it has cost."""

    counterfactual: Tensor
    distance: Tensor
    probability: Tensor
    found: Tensor
    steps: Tensor
    calls: Tensor
    space: Space
    extra: dict[str, Tensor]

    @staticmethod
    def empty(query: Query, space: Space) -> _Best:
        like = query.factual.flatten(1)[:, 0]
        zeros = torch.zeros_like(query.target)
        return _Best(
            counterfactual=query.factual.clone(),
            distance=torch.full_like(like, torch.inf),
            probability=torch.full_like(like, -1.0),
            found=zeros.bool(),
            steps=zeros.clone(),
            calls=zeros,
            space=space,
            extra={},
        )

    def update(self, rows: Tensor, query: Query, candidate: Candidate, distance: Tensor, reached: Tensor, alive: Tensor) -> Tensor:
        """Keep better points; returns where there was one, (len(rows),) bool."""
        self.calls[rows] += alive
        probability = probability_of(candidate.logits.detach(), query.target)
        nearer = reached & (distance < self.distance[rows])
        likelier = alive & ~self.found[rows] & ~reached & (probability > self.probability[rows])
        better = nearer | likelier
        if not bool(better.any()):
            return better
        chosen = rows[better]
        self.counterfactual[chosen] = candidate.decoded.detach()[better]
        self.distance[chosen] = torch.where(reached, distance, torch.inf)[better]
        self.probability[chosen] = probability[better]
        self.found[rows] |= reached
        for name, value in self.space.extra({name: value.detach() for name, value in candidate.variables.items()}).items():
            self.extra.setdefault(name, value.new_zeros(len(self.found), *value.shape[1:]))[chosen] = value[better]
        return better


def take_rows(optimizer: torch.optim.Optimizer, variables: Variables, rows: Tensor) -> Variables:
    """Keep only `rows` of every variable and of the optimiser's elementwise state; returns the new leaves."""
    kept: Variables = {}
    replaced: dict[Tensor, Tensor] = {}
    for name, value in variables.items():
        kept[name] = value.detach()[rows].requires_grad_(value.requires_grad)
        replaced[value] = kept[name]
    for group in optimizer.param_groups:
        group["params"] = [replaced[old] for old in group["params"]]
    for old, new in replaced.items():
        state = optimizer.state.pop(old, None)
        if state is not None:
            optimizer.state[new] = {
                key: entry[rows] if isinstance(entry, Tensor) and entry.shape == old.shape else entry for key, entry in state.items()
            }
    return kept
