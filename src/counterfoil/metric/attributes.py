"""Attributes of factual and counterfactual as a multi-label judge sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.metric.base import SampleMetric, SetMetric
from counterfoil.metric.network import Borrowed


class AttributeReader:
    """Hard attributes of images by a multi-label judge, one output per attribute of the data.

    Args:
        judge: a `Classifier` around a network that was trained with `multilabel`.
        data: names the attributes, and the one explained.
        metric: for errors.
    """

    def __init__(self, judge: nn.Module | None, data: Any, metric: str) -> None:
        self.judge = Borrowed(judge, metric, "judge")
        self.data = Borrowed(data, metric, "data").net
        self.names: tuple[str, ...] = tuple(self.data.attribute_names)
        self.metric = metric
        if not self.names:
            raise UserError(
                f"metric={metric} needs data with attributes, such as data=avatars or data=celeba; "
                f"leave it out for data={self.data.name}"
            )

    def __call__(self, x: Tensor) -> Tensor:
        """Whether each attribute is there: (B, A), 1 or 0; NaN where the judge's output is not finite."""
        logits = self.logits(x)
        return (logits > 0).float().masked_fill(~logits.isfinite(), torch.nan)

    def logits(self, x: Tensor) -> Tensor:
        """How surely each attribute is there: (B, A), positive for yes."""
        outputs = self.judge(x, method="outputs")
        if outputs.ndim != 2 or outputs.shape[1] != len(self.names):
            raise UserError(
                f"metric={self.metric}: the judge puts out {tuple(outputs.shape[1:])} per image, "
                f"expected one output for each of {len(self.names)} attributes; set "
                "judge.training.multilabel=true and "
                "judge.decision to an Attribute"
            )
        return outputs

    def changed(self, cf: Counterfactuals) -> Tensor:
        """Whether each attribute differs between factual and counterfactual: (B, A), 1 or 0, or NaN."""
        return (self(cf.factual) - self(cf.counterfactual)).abs()

    def moved(self, cf: Counterfactuals) -> Tensor:
        """|change| of the judge's probability of each attribute: (B, A) in [0, 1]."""
        before, after = (torch.sigmoid(self.logits(x)) for x in (cf.factual, cf.counterfactual))
        return (after - before).abs()

    def column(self, attribute: str | None) -> int:
        """The column of an attribute, by default the one explained."""
        name = attribute or self.data.attribute
        if name not in self.names:
            raise UserError(
                f"metric.{self.metric}.attribute={name} is not in the data; "
                f"known attributes: {', '.join(self.names)}"
            )
        return self.names.index(name)

    def columns(self, attributes: Sequence[str | None] = (None,)) -> list[int]:
        """The columns of attributes, by default of the one explained; "A+B" names two."""
        return [
            self.column(part) for name in attributes for part in str(name or self.data.attribute).split("+")
        ]


class MNAC(SampleMetric):
    """Mean number of attributes changed, the explained one included.

    mean sum_a 1[o_a(x) > 1/2 differs from o_a(x') > 1/2], in [0, A]; 1 is ideal where the attributes are
    independent.

    Args:
        judge, data: see `AttributeReader`.

    Source: Diffusion Models for Counterfactual Explanations (Jeanneret et al., 2022), arXiv 2203.15636
    """

    name = "mnac"
    label = "MNAC"
    minimum = 0.0
    higher_is_better = False
    also_valid = True

    def __init__(self, judge: nn.Module | None, data: Any) -> None:
        super().__init__()
        self._read = AttributeReader(judge, data, self.name)

    def score(self, cf: Counterfactuals) -> Tensor:
        return self._read.changed(cf).sum(1)


class OthersChanged(SampleMetric):
    """Mean number of attributes changed besides the explained one, or besides both of "A+B".

    In [0, A - 1]; 0 is ideal where the attributes are independent.
    """

    name = "others_changed"
    minimum = 0.0
    higher_is_better = False
    also_valid = True

    def __init__(self, judge: nn.Module | None, data: Any) -> None:
        super().__init__()
        self._read = AttributeReader(judge, data, self.name)
        self._explained = self._read.columns()

    def score(self, cf: Counterfactuals) -> Tensor:
        changed = self._read.changed(cf)
        changed[:, self._explained] = 0
        return changed.sum(1)


class AttributeChanged(SampleMetric):
    """Share of counterfactuals in which one attribute differs from the factual, to the judge's eyes.

    mean 1[o_a(x) > 1/2 differs from o_a(x') > 1/2], in [0, 1]; for bias detection: a classifier that leans on
    `attribute` has counterfactuals that change it.

    Args:
        judge, data: see `AttributeReader`.
        attribute: which; None: the one explained.

    Source: the bias detection of Explanation by Progressive Exaggeration (Singla et al., ICLR 2020), arXiv
    1911.00483, as described in Beyond Trivial Counterfactual Explanations (Rodriguez et al., 2021), arXiv
    2103.10226
    """

    name = "attribute_changed"
    higher_is_better = None
    boolean = True
    also_valid = True

    def __init__(self, judge: nn.Module | None, data: Any, attribute: str | None = None) -> None:
        super().__init__()
        self._read = AttributeReader(judge, data, self.name)
        self._column = self._read.column(attribute)

    def score(self, cf: Counterfactuals) -> Tensor:
        return self._read.changed(cf)[:, self._column]


class CorrelationDifference(SetMetric):
    """How far changes of attributes go together otherwise than the attributes themselves do.

    CD = sum_a |rho(d_a, d_q) - rho(y_a, y_q)|, in [0, 2 (A - 1)]; d the change (-1, 0, 1) of the judge's hard
    attribute, q the one explained, y the training images' ground truth, rho Pearson's, an undefined one being
    0. A sum over attributes, not a mean.

    Args:
        judge, data: see `AttributeReader`.

    Source: Diffusion Models for Counterfactual Explanations (Jeanneret et al., 2022), arXiv 2203.15636
    """

    name = "correlation_difference"
    higher_is_better = False
    minimum = 0.0

    def __init__(self, judge: nn.Module | None, data: Any) -> None:
        super().__init__()
        self._read = AttributeReader(judge, data, self.name)
        self._column = self._read.column(None)

    def embed(self, x: Tensor) -> Tensor:
        return self._read(x)

    def update(self, cf: Counterfactuals) -> None:
        """Keep the change of each attribute."""
        if len(cf):
            self.keep(cf, self.embed(cf.counterfactual) - self.embed(cf.factual))

    def weighted(self, weights: Tensor) -> Tensor:
        truth = self._read.data.train.attributes.double()
        real = correlations(truth, torch.ones(1, len(truth), dtype=torch.float64), self._column)
        known = self.usable
        found = correlations(self.features[known], weights.cpu().double()[:, known], self._column)
        return (found - real).abs().sum(1)


def correlations(values: Tensor, weights: Tensor, column: int) -> Tensor:
    """Pearson's correlation (R, A) of each column of values (N, A) with one of them, for weights (R, N).

    0 where undefined.
    """
    total = weights.sum(1, keepdim=True)
    mean = weights @ values / total
    square = weights @ values.square() / total - mean.square()
    cross = weights @ (values * values[:, column : column + 1]) / total - mean * mean[:, column : column + 1]
    scale = (square * square[:, column : column + 1]).clamp(min=0).sqrt()
    return torch.where(scale > 1e-12, cross / scale.clamp(min=1e-12), 0.0)
