"""Image-space optimisation: what its options build."""

from __future__ import annotations

from torch import nn

from counterfoil.explainer.iso import ISO
from counterfoil.search import Pixels


def test_regularises_pixels_and_reads_no_layer(tiny_classifier: nn.Module) -> None:
    method = ISO(tiny_classifier)
    assert isinstance(method.space, Pixels)
    assert method.objective.layers(tiny_classifier) == ()
    assert {"tv", "l2"} <= set(method.objective.terms)
