"""Latent-space optimisation: what its options build, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.lso import LSO
from counterfoil.search import Pixels, PriorWeights


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": ["body.9"]}, ["body.9", "body.0, body.1"]),
        ({"prior": "vae"}, ["prior=vae", "inr, dip"]),
    ],
)
def test_bad_options_name_their_fix(
    options: dict[str, Any], words: list[str], tiny_classifier: nn.Module
) -> None:
    with pytest.raises(UserError) as caught:
        LSO(tiny_classifier, **options)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("prior", ["inr", "dip"])
def test_searches_pixels_or_the_weights_of_a_prior(prior: str, tiny_classifier: nn.Module) -> None:
    assert isinstance(LSO(tiny_classifier, prior=prior).space, PriorWeights)
    assert isinstance(LSO(tiny_classifier).space, Pixels)


def test_preserves_the_layers_and_regularises_pixels_alone(tiny_classifier: nn.Module) -> None:
    pixels, prior = LSO(tiny_classifier), LSO(tiny_classifier, prior="inr")
    for method in (pixels, prior):
        assert method.objective.layers(tiny_classifier) == ("body.0", "body.2")
    assert {"tv", "l2"} <= set(pixels.objective.terms)
    assert not {"tv", "l2"} & set(prior.objective.terms)
