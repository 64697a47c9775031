"""Odd arguments of the call in Python: `explainer(x, target)`."""

from __future__ import annotations

import torch

from counterfoil import CNN, Classifier, Wachter
from tests.inputs.case import At, Case, cases


def explained(x: object, target: object = None) -> list[int]:
    """The shape of the counterfactuals of a small method."""
    net = CNN(channels=1, classes=10, width=8, stages=2)
    return list(Wachter(Classifier(net), steps=1, rounds=1)(x, target).counterfactual.shape)  # type: ignore[arg-type]


@cases(
    Case("a batch", lambda at: explained(torch.rand(2, 1, 16, 16)), right=[2, 1, 16, 16]),
    Case("bytes", lambda at: explained(torch.rand(2, 1, 16, 16) * 255), says=("inputs", "[0, 1]", "divide")),
)
def test_calls(case: Case, at: At) -> None:
    case.settle(at)
