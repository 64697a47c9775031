"""Validity: the classifier decides for the target."""

from __future__ import annotations

from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.query import probability_of
from counterfoil.metric.base import SampleMetric


class Validity(SampleMetric):
    """Share of counterfactuals that the classifier puts in the target class.

    mean 1[argmax f(x') = t], in [0, 1], over all rows, wrongly classified factuals and already valid ones
    included.
    """

    name = "validity"
    main = True
    role = "success"
    higher_is_better = True
    boolean = True

    def score(self, cf: Counterfactuals) -> Tensor:
        return cf.valid.float()


class TargetProbability(SampleMetric):
    """Mean probability that the classifier gives the target class on the counterfactual.

    mean f_t(x'), in [0, 1], over all rows.
    """

    name = "target_probability"
    minimum = 0.0
    maximum = 1.0
    main = True
    higher_is_better = True

    def score(self, cf: Counterfactuals) -> Tensor:
        return cf.target_probability


class SourceProbability(SampleMetric):
    """Mean probability that the classifier gives the class of its decision on the factual.

    mean f_s(x'), s = argmax f(x), in [0, 1], over all rows: what a method that exaggerates a decision raises.
    """

    name = "source_probability"
    minimum = 0.0
    maximum = 1.0

    def score(self, cf: Counterfactuals) -> Tensor:
        return probability_of(cf.counterfactual_logits, cf.source)
