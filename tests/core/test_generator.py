"""Abilities of generative models, and the error of a method that needs another."""

from __future__ import annotations

import pytest
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.core.generator import Conditional, Decodes, Encodes, attribute_names, require
from counterfoil.generative.cvae import CVAE
from counterfoil.generative.vae import VAE


def test_our_models_can_what_they_say() -> None:
    for model in (VAE(1, 16, width=4), CVAE(1, 16, width=4)):
        require(model, Encodes, Decodes, method="revise")
    require(CVAE(1, 16, width=4), Conditional, method="revise")


@pytest.mark.parametrize(("model", "found"), [(None, "none"), (nn.Linear(2, 2), "Linear")])
def test_the_error_names_method_ability_model_and_fix(model: nn.Module | None, found: str) -> None:
    with pytest.raises(UserError, match=rf"revise.*Encodes.*{found}.*generative=vae"):
        require(model, Encodes, Decodes, method="revise")


def test_names_are_those_of_attributes_else_of_classes_else_none() -> None:
    named = nn.Identity()
    named.class_names = ("cat", "dog", "owl")  # type: ignore[assignment]
    edits = nn.Identity()
    edits.attribute_names, edits.attributes = ("Hat",), lambda x: x  # type: ignore[assignment]
    assert attribute_names(edits, named) == ("Hat",)
    assert attribute_names(CVAE(1, 16, width=4, classes=3), named) == ("cat", "dog", "owl")
    assert attribute_names(CVAE(1, 16, width=4, classes=2), named) == ("0", "1")
    assert attribute_names(VAE(1, 16, width=4), named) == attribute_names(None, named) == ()
