"""Every method is what its callers expect, and a network is not."""

from __future__ import annotations

from torch import nn

from counterfoil.core.explains import Explains
from counterfoil.explainer.wachter import Wachter


def test_a_method_explains_and_a_network_does_not(tiny_classifier: nn.Module) -> None:
    assert isinstance(Wachter(tiny_classifier), Explains)
    assert not isinstance(tiny_classifier, Explains)
