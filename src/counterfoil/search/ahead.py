"""Searches in a code that begin near the flip in place of at the factual."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Positive, Weight, Whole
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search.candidate import Variables
from counterfoil.search.detail import Detail
from counterfoil.search.line import Line, uphill
from counterfoil.search.neighbours import decided, distances
from counterfoil.search.space import Latent

Toward = Literal["gradient", "neighbour"]


class Ahead(Latent):
    """The code of a generative model, from where a straight line first reaches the target.

    z_0 = E(x) + s d,  the first s of {0, 1/P, ..., 1} with argmax f(G(z_0)) = t and f_t(G(z_0)) >=
    confidence, moved back by halvings; s = 0 where there is none

    Args:
        toward: "gradient": d is the gradient of the target's log-probability at E(x), scaled to the length
            `reach`. "neighbour": d leads to the nearest code, in the Euclidean norm, of a training image
            whose reconstruction reaches the target; where none reaches the confidence, of one that is put in
            the target class.
        reach: length of the line along the gradient.
        points: P, points on the line.
        bisections: halvings of the last interval.
        pool: largest number of training images that may be neighbours, the first ones.
        rank: which neighbour: 0 is the nearest; the last where there are fewer.
        spread, detail: see `Latent`.

    Raises:
        UserError: no neighbours, since the explainer was not fitted or the data have no training images.
    """

    def __init__(
        self,
        toward: Toward = "neighbour",
        *,
        reach: Positive = 12.0,
        points: Count = 8,
        bisections: Whole = 2,
        pool: Count = 5000,
        rank: Whole = 0,
        spread: Weight = 0.5,
        detail: Detail | None = None,
    ) -> None:
        super().__init__(spread, detail)
        self.toward = toward
        self.reach = reach
        self.points = points
        self.bisections = bisections
        self.pool = pool
        self.rank = rank
        self._codes = self._probability = torch.zeros(0)
        self._decision = torch.zeros(0, dtype=torch.int64)

    def fit(self, classifier: nn.Module, generator: Any, data: Any) -> None:
        """Encode the training images, and have the classifier grade what is decoded from the codes."""
        if self.toward != "neighbour":
            return
        if not len(data.train):
            raise UserError(
                f"start=neighbour needs training images, data={data.name} has none; choose start=gradient, "
                "or other data"
            )
        codes, graded = [], []
        with torch.no_grad():
            for query in decided(classifier, generator, data, self.pool):
                codes.append(super().start(query)["z"])
                graded.append(classifier(self.decode(query, {"z": codes[-1]})).softmax(1).max(1))
        self._codes = torch.cat(codes)
        self._decision = torch.cat([top.indices for top in graded])
        self._probability = torch.cat([top.values for top in graded])

    def prepare(self, query: Query) -> None:
        """Go along the line of each query, once."""
        super().prepare(query)
        if self._code in query.remembered:
            return
        origin = super().start(query)["z"].detach()
        if self.toward == "gradient":
            direction, shown = uphill(query, self, origin) * self.reach, 1
        else:
            direction, shown = self._neighbours(query, origin) - origin, 0
        line = Line(query, self, origin, direction, reach=1.0, points=self.points)
        with torch.no_grad():
            shift, reached = line.march()
            shift = line.refine(shift, reached, line.hits, self.bisections)
            code = line.at(torch.where(reached, shift, 0.0))
        query.remember(self._code, lambda: code)
        query.remember(self._calls, lambda: line.calls + shown)

    def spent(self, query: Query) -> Tensor:
        """The points graded on each query's line, and one for its gradient."""
        return query.remembered[self._calls]

    def trial_start(self, query: Query) -> Variables:
        """The factual's code."""
        return super().start(query)

    def start(self, query: Query) -> Variables:
        """The code ahead (B, Z)."""
        self.prepare(query)
        return {"z": self._disturb(query, query.remembered[self._code])}

    @property
    def _code(self) -> str:
        return f"ahead{self.rank}/z"

    @property
    def _calls(self) -> str:
        return f"ahead{self.rank}/calls"

    def _neighbours(self, query: Query, origin: Tensor) -> Tensor:
        """The code of each row's target (B, Z) that is so near; the row's own where the target has none."""
        if not len(self._codes):
            raise UserError("start=neighbour has no neighbours; call fit(data) with an ImageData first")
        found = origin.clone()
        for target in query.target.unique().tolist():
            mine = self._decision == target
            sure = mine & (self._probability >= query.confidence)
            codes = self._codes[sure if bool(sure.any()) else mine]
            rows = (query.target == target).nonzero()[:, 0]
            if len(codes):
                codes = codes.to(origin)
                found[rows] = codes[_place(distances(origin[rows], codes), self.rank)]
        return found


def _place(distance: Tensor, rank: int) -> Tensor:
    """The columns of the distances (A, B) that are `rank` places behind the least ones (A,)."""
    if not rank:
        return distance.argmin(1)
    return distance.argsort(dim=1, stable=True)[:, min(rank, distance.shape[1] - 1)]
