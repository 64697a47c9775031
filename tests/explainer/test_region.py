"""A search inside a region leaves the rest as it is."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.region import RegionSearch


def test_most_of_the_image_stays(tiny_classifier: nn.Module, tiny_vae: Any, toy: Any) -> None:
    x = toy.test[range(4)].x.double()
    cf = RegionSearch(tiny_classifier, tiny_vae, share=0.25, steps=60, confidence=0.6)(x)
    touched = (cf.delta.abs().amax(1) > 0).double().flatten(1).mean(1)
    assert (touched <= 0.25).all()
    assert (touched > 0).all()


def test_a_generator_is_needed(tiny_classifier: nn.Module) -> None:
    with pytest.raises(UserError, match="explainer region needs a generator"):
        RegionSearch(tiny_classifier, None)
