"""The plain network keeps what every network promises, and is no residual one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from counterfoil.classifier.cnn import CNN
from counterfoil.classifier.resnet import ResNet


def test_keeps_the_promises_of_a_network(promise: Callable[[Any], None]) -> None:
    promise(CNN)


def test_differs_from_the_judge_in_architecture() -> None:
    """A judge of the same architecture would share the classifier's blind spots."""
    assert CNN().state_dict().keys() != ResNet().state_dict().keys()
