"""Which attributes did an answer change, in the eyes of a network that reads attributes? Asked of every method alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import Borrowed


class JudgedChange(SampleMetric):
    """Mean absolute change of an attribute's probability, by an independent reader of attributes.

    mean |s_j(x') - s_j(x)|, in [0, 1].

    Args:
        reader: images (B, C, H, W) in [0, 1] -> logits (B, A), a multi-label classifier.
        attribute: place of the attribute among the reader's.
    """

    name = "judged_change"
    higher_is_better = None

    def __init__(self, reader: nn.Module | None, attribute: int) -> None:
        super().__init__()
        self._reader = Borrowed(reader, self.name, "reader")
        self.attribute = attribute

    def score(self, cf: Counterfactuals) -> Tensor:
        return _changes(self._reader, cf)[:, self.attribute]


class JudgedCausalScore(SampleMetric):
    """Share of the change, by an independent reader of attributes, that lies on those which the classifier was built to use.

    sum_{j in causes} |s_j(x') - s_j(x)| / sum_j |s_j(x') - s_j(x)|, in [0, 1].

    Args:
        reader: see `JudgedChange`.
        data: names the reader's attributes.
        causes: names of the attributes that truly decide.
    """

    name = "judged_causal_score"
    higher_is_better = True

    def __init__(self, reader: nn.Module | None, data: Any, causes: Sequence[str | None]) -> None:
        super().__init__()
        self._reader = Borrowed(reader, self.name, "reader")
        names = _names(data, self.name)
        wanted = [part for name in causes if name is not None for part in name.split("+")]
        unknown = [name for name in wanted if name not in names]
        if unknown or not wanted:
            raise UserError(f"metric.{self.name}.causes: {', '.join(unknown) or 'none named'}; expected some of: {', '.join(names)}")
        self.columns = [names.index(name) for name in wanted]

    def score(self, cf: Counterfactuals) -> Tensor:
        changes = _changes(self._reader, cf)
        return changes[:, self.columns].sum(1) / changes.sum(1)


def judged_changes(reader: nn.Module | None, data: Any) -> Mapping[str, JudgedChange]:
    """A `JudgedChange` for each attribute of the data, by the name it is reported as."""
    return {f"judged_change/{name}": JudgedChange(reader, i) for i, name in enumerate(_names(data, "judged_change"))}


def _names(data: Any, metric: str) -> tuple[str, ...]:
    if not data.attribute_names:
        raise UserError(f"metric={metric} needs data with attributes, data={data.name} has none; choose data=avatars or data=celeba, or leave it out")
    return tuple(data.attribute_names)


def _changes(reader: Borrowed, cf: Counterfactuals) -> Tensor:
    before, after = (torch.sigmoid(reader(x)) for x in (cf.factual, cf.counterfactual))
    return (after - before).abs()
