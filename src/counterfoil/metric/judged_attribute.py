"""Changes of attributes by a judge that tells all of them, measured alike for every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.metric.attributes import AttributeReader
from counterfoil.metric.base import SampleMetric


class JudgedChange(SampleMetric):
    """Mean absolute change of an attribute's probability, by the judge.

    mean |o_j(x') - o_j(x)|, in [0, 1].

    Args:
        judge, data: see `AttributeReader`.
        attribute: its name.
    """

    name = "judged_change"
    minimum = 0.0
    higher_is_better = None

    def __init__(self, judge: nn.Module | None, data: Any, attribute: str) -> None:
        super().__init__()
        self._read = AttributeReader(judge, data, self.name)
        self._column = self._read.column(attribute)

    def score(self, cf: Counterfactuals) -> Tensor:
        return self._read.moved(cf)[:, self._column]


class JudgedCausalScore(SampleMetric):
    """Share of the change, by the judge, that lies on the attributes which the classifier was built to use.

    sum_{j in causes} |o_j(x') - o_j(x)| / sum_j |o_j(x') - o_j(x)|, in [0, 1].

    Args:
        judge, data: see `AttributeReader`.
        causes: names of the attributes that truly decide; null: the one explained.
    """

    name = "judged_causal_score"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = True

    def __init__(self, judge: nn.Module | None, data: Any, causes: Sequence[str | None]) -> None:
        super().__init__()
        self._read = AttributeReader(judge, data, self.name)
        if not causes:
            raise UserError(
                f"metric.{self.name}.causes names no attribute; "
                f"known attributes: {', '.join(self._read.names)}"
            )
        self._columns = self._read.columns(causes)

    def score(self, cf: Counterfactuals) -> Tensor:
        changes = self._read.moved(cf)
        return changes[:, self._columns].sum(1) / changes.sum(1)


def judged_changes(judge: nn.Module | None, data: Any) -> Mapping[str, JudgedChange]:
    """A `JudgedChange` for each attribute of the data, by the name it is reported as."""
    names = AttributeReader(judge, data, JudgedChange.name).names
    return {f"{JudgedChange.name}/{name}": JudgedChange(judge, data, name) for name in names}
