"""The cost of a counterfactual, as measured when it was made."""

from __future__ import annotations

from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.base import SampleMetric


class _Cost(SampleMetric):
    """A failure has cost what it has cost."""

    failure = None


class Steps(_Cost):
    """Mean number of search steps per counterfactual.

    In [0, inf); 0 for a query that was valid to begin with. What one step does differs between methods.
    """

    name = "steps"
    minimum = 0.0
    higher_is_better = False

    def score(self, cf: Counterfactuals) -> Tensor:
        return cf.steps


class Seconds(_Cost):
    """Mean wall seconds per counterfactual.

    In [0, inf); a batch's time, encoding included, is shared equally among its rows, so it depends on batch
    size and device. A batch is one measurement: the interval is Student's by jackknife over batches. With
    `refill` rows have times of their own, which count as measurements although rows at work together share
    their steps' time.
    """

    name = "seconds"
    unit = "s"
    shared = True
    minimum = 0.0
    main = True
    higher_is_better = False

    def score(self, cf: Counterfactuals) -> Tensor:
        return cf.seconds


class ClassifierCalls(_Cost):
    """Mean number of inputs that the classifier evaluated per counterfactual.

    In [0, inf); a forward pass with or without its backward pass counts once per input.
    """

    name = "classifier_calls"
    minimum = 0.0
    higher_is_better = False

    def score(self, cf: Counterfactuals) -> Tensor:
        return cf.classifier_calls


class PeakMemory(_Cost):
    """Largest rise of memory, in MiB, while a batch of counterfactuals was made.

    The maximum over all rows, without an interval.
    """

    name = "peak_memory_mb"
    label = "Peak memory"
    unit = "MB"
    minimum = 0.0
    higher_is_better = False
    aggregate = "max"

    def score(self, cf: Counterfactuals) -> Tensor:
        return cf.peak_memory_mb
