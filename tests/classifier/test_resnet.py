"""The residual network keeps what every network promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from counterfoil.classifier.resnet import ResNet


def test_keeps_the_promises_of_a_network(promise: Callable[[Any], None]) -> None:
    promise(ResNet)
