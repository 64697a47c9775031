"""Every method is what its callers expect, and a network is not."""

from __future__ import annotations

import inspect
from typing import get_type_hints

from torch import nn

from counterfoil.core.explains import Explains
from counterfoil.explainer.wachter import Wachter


def test_a_method_explains_and_a_network_does_not(tiny_classifier: nn.Module) -> None:
    expected = {*get_type_hints(Explains), *(name for name, _ in inspect.getmembers(Explains, callable))}
    expected = {name for name in expected if not name.startswith("_")} | {"__call__"}
    assert expected == {"classifier", "count", "fit", "to", "__call__"}
    method: Explains = Wachter(tiny_classifier)
    assert all(hasattr(method, name) for name in expected)
    assert not all(hasattr(tiny_classifier, name) for name in expected)
