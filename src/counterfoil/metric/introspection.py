"""Ranks of attributes by their change, compared with what the classifier truly uses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.metric.attributes import AttributeReader
from counterfoil.metric.base import Figure, FigureMetric
from counterfoil.metric.effect import Effects

RESAMPLES = 1000
KINDS = ("declared", "judged")


class Ranking(FigureMetric):
    """Attributes ranked by mean absolute change over the valid counterfactuals; subclasses read the rank.

    Intervals: the central 95 % of 1,000 resamples of the counterfactuals.

    Args:
        effects: true effects of the attributes.
        causes: names of the attributes that truly decide; "A+B" stands for both.
        judge: whose probabilities tell the change; None: the change that the method declares, not defined
            where it declares none.
    """

    _changes: list[Tensor]

    def __init__(
        self, effects: Effects, causes: Sequence[str | None], judge: AttributeReader | None = None
    ) -> None:
        super().__init__()
        self.effects, self.judge = effects, judge
        self.causes = tuple(part for name in causes if name is not None for part in name.split("+"))
        unknown = [name for name in self.causes if name not in effects.names]
        if unknown or not self.causes:
            raise UserError(
                f"metric.introspection.causes: found {', '.join(unknown) or 'none'}; set it, or attribute=, "
                f"to what the classifier was built to use; known attributes: {', '.join(effects.names)}"
            )
        self.add_state("_changes", default=[], dist_reduce_fx="cat")

    def update(self, cf: Counterfactuals) -> None:
        """Keep the absolute change (B, A) of each attribute of the valid rows, NaN where not declared."""
        if not len(cf):
            return
        if self.judge is not None:
            before, after = (torch.sigmoid(self.judge.logits(x)) for x in (cf.factual, cf.counterfactual))
            changes = (after - before).abs()
        else:
            unknown = torch.full((len(cf),), torch.nan, device=cf.factual.device)
            changes = torch.stack([cf.changes.get(name, unknown).abs() for name in self.effects.names], 1)
        self._changes.append(changes[cf.valid].double().cpu())

    @abstractmethod
    def read(self, means: NDArray[Any], names: Sequence[str]) -> NDArray[Any]:
        """The figure (R,) of mean changes (R, A) of the named attributes."""

    def figure(self) -> Figure:
        """The figure over all rows, and its interval over resamples."""
        means, names, n = self._means()
        if not len(means):
            return Figure()
        found = self.read(means, names)
        low, high = np.quantile(found[1:], [0.025, 0.975])
        return Figure(float(found[0]), float(low), float(high), n)

    def _means(self) -> tuple[NDArray[Any], list[str], int]:
        """Mean changes (1 + R, A) over all rows and in each resample, of the attributes that have one."""
        values = torch.cat(self._changes).numpy() if self._changes else np.zeros((0, len(self.effects.names)))
        known: NDArray[Any] = np.asarray(np.isfinite(values).any(0))
        names = [name for name, one in zip(self.effects.names, known, strict=True) if one]
        values = values[:, known]
        if not values.size:
            return np.zeros((0, 0)), names, 0
        rng = np.random.default_rng(0)
        drawn = [
            values[rng.integers(len(values), size=len(values))].mean(0) for _resample in range(RESAMPLES)
        ]
        return np.stack([values.mean(0), *drawn]), names, len(values)

    def _on_cause(self, names: Sequence[str]) -> NDArray[Any]:
        return np.array([name in self.causes for name in names])


class CauseRank(Ranking):
    """Place of the first true cause among the attributes by mean absolute change; 1 is the top."""

    name = "cause_rank"
    higher_is_better = False
    minimum = 1.0

    def read(self, means: NDArray[Any], names: Sequence[str]) -> NDArray[Any]:
        """1 + the number of attributes that move more than each of the causes."""
        causes = self._on_cause(names)
        if not causes.any():
            return np.full(len(means), float(len(names)))
        best: NDArray[Any] = 1.0 + (means > means[:, causes].max(1, keepdims=True)).sum(1)
        return best


class CauseFirst(Ranking):
    """Share of resamples of the counterfactuals in which the attribute that changes most is a true cause."""

    name = "cause_first"
    higher_is_better = True
    unit, minimum, maximum = "%", 0.0, 1.0

    def read(self, means: NDArray[Any], names: Sequence[str]) -> NDArray[Any]:
        """Whether the largest mean change lies on a cause, 0 or 1."""
        hits: NDArray[Any] = self._on_cause(names)[means.argmax(1)].astype(float)
        return hits

    def figure(self) -> Figure:
        """The share, which has no interval of its own."""
        means, names, n = self._means()
        if not len(means):
            return Figure()
        return Figure(float(self.read(means[1:], names).mean()), n=n)


class EffectCorrelation(Ranking):
    """Spearman's correlation of the mean absolute changes of attributes with their true effects, in [-1, 1].

    It has little to rank where most attributes have no effect at all.
    """

    name = "effect_correlation"
    higher_is_better = True
    minimum, maximum = -1.0, 1.0

    def read(self, means: NDArray[Any], names: Sequence[str]) -> NDArray[Any]:
        """Pearson's correlation of the ranks, ties by their mean rank."""
        truth = rankdata([self.effects.by_name[name] for name in names])
        ranks = rankdata(means, axis=1)
        ranks, truth = ranks - ranks.mean(1, keepdims=True), truth - truth.mean()
        with np.errstate(invalid="ignore"):
            found: NDArray[Any] = ranks @ truth / np.sqrt((ranks**2).sum(1) * (truth**2).sum())
        return found


def introspections(
    classifier: nn.Module | None, data: Any, judge: nn.Module | None, causes: Sequence[str | None]
) -> Mapping[str, Ranking]:
    """All figures of this file, of declared and of judged changes, by the name they are reported as.

    Args:
        classifier: the model explained, two classes.
        data: has attributes.
        judge: tells all attributes.
        causes: see `Ranking`.
    """
    effects = Effects(classifier, data, "introspection")
    judges = {"declared": None, "judged": AttributeReader(judge, data, "introspection")}
    return {
        f"{kind.name}/{seen}": kind(effects, causes, judges[seen])
        for seen in KINDS
        for kind in (CauseRank, CauseFirst, EffectCorrelation)
    }
