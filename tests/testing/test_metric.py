"""`check_metric` finds these broken metrics out, and says so in the right sentence."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.agreement import JudgeAgreement
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.proximity import L1, Sparsity
from counterfoil.metric.validity import Validity
from counterfoil.testing import Broken, TinyClassifier, check_metric


class Change(SampleMetric):
    """Mean absolute change."""

    name = "change"
    higher_is_better = False
    minimum = 0.0

    def score(self, cf: Counterfactuals) -> Tensor:
        return cf.delta.abs().flatten(1).mean(1)


class OfTheBatch(Change):
    """Change beside the batch's."""

    def score(self, cf: Counterfactuals) -> Tensor:
        change = super().score(cf)
        return change / change.max()


class Remembers(Change):
    """Change, and what came before."""

    before: ClassVar[list[int]] = []

    def score(self, cf: Counterfactuals) -> Tensor:
        self.before.append(len(cf))
        return super().score(cf) + len(self.before)


class Holds(Change):
    """Change, beside a judge of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.judge = TinyClassifier()


class Spoils(Change):
    """Change, of images that it changes."""

    def score(self, cf: Counterfactuals) -> Tensor:
        cf.counterfactual.mul_(1.01)
        return cf.delta.abs().flatten(1).mean(1)


class Leaves(Change):
    """Change that is called a share."""

    maximum = 0.01


class Flatters(Change):
    """Change, of failures too."""

    def update(self, cf: Counterfactuals) -> None:
        self._values.append(self.score(cf))
        self._valid.append(cf.valid)


BROKEN: dict[type[Change], str] = {
    OfTheBatch: "depends on the batches: a row differs by",
    Holds: "holds judge.",
    Spoils: "changes the counterfactual that it measures",
    Leaves: "leaves its declared range [0.0, 0.01]: 0.",
    Flatters: "gives rows that failed [0.0], expected nan or NaN",
}


@pytest.mark.parametrize(
    "metric", [L1(), Sparsity(), Validity(), JudgeAgreement(judge=TinyClassifier(seed=1)), Change()]
)
def test_sound_metrics_pass(metric: Any) -> None:
    check_metric(metric)


@pytest.mark.parametrize("metric", BROKEN, ids=lambda cls: cls.__name__)
def test_a_broken_metric_is_told_what_it_breaks(metric: type[Change]) -> None:
    with pytest.raises(Broken) as caught:
        check_metric(metric())
    assert str(caught.value).splitlines()[0].startswith(f"{metric.__name__} {BROKEN[metric]}"), caught.value


def test_what_remembers_is_not_the_same_after_reset() -> None:
    with pytest.raises(Broken, match="Remembers is not the same after reset"):
        check_metric(Remembers())


def test_an_error_names_the_promise() -> None:
    class Wrong(Change):
        """A value for each pixel."""

        def score(self, cf: Counterfactuals) -> Tensor:
            return cf.delta

    with pytest.raises(
        Broken, match=r"Wrong raises ValueError \(Wrong.score must return .*\); promised: Rows have"
    ):
        check_metric(Wrong())
    assert torch.is_grad_enabled()
