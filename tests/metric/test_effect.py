"""The effect of attributes on classifiers that use them in a known way."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.data.base import Images
from counterfoil.metric.effect import Effects, never_together, true_effects


class First(nn.Module):
    """Sure of class 1 where the first pixel is white."""

    def forward(self, x):
        score = 100 * (x.flatten(1)[:, 0] - 0.5)
        return torch.stack((-score, score), 1)


def faces(rows):
    """Images whose first pixels are their attributes."""
    has = torch.tensor(rows, dtype=torch.uint8)
    pixels = torch.zeros(len(has), 1, 2, 2, dtype=torch.uint8)
    pixels.flatten(1)[:, : has.shape[1]] = 255 * has
    return SimpleNamespace(
        name="faces", attribute_names=("A", "B", "C"), queried=Images(pixels, has[:, 0].long(), has)
    )


def test_an_attribute_is_compared_without_what_never_occurs_beside_it():
    """A decides; C excludes A, so that without the rule C would seem to matter."""
    data = faces([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]])
    assert Effects(First(), data, "m").by_name == pytest.approx({"A": 1.0, "B": 0.0, "C": 0.0}, abs=1e-6)
    made = true_effects(First(), data)
    assert list(made) == ["true_effect/A", "true_effect/B", "true_effect/C"]
    assert made["true_effect/A"].figure().value == pytest.approx(1.0)
    assert made["true_effect/A"].figure().n == 6


def test_an_attribute_that_all_have_has_no_effect_that_could_be_told():
    data = faces([[1, 1, 0], [0, 1, 0]])
    made = true_effects(First(), data)
    assert math.isnan(made["true_effect/B"].figure().value)
    assert made["true_effect/B"].compute().isnan()


def test_pairs_that_never_occur():
    has = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0, 0]])
    assert never_together(has).int().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_refusals():
    with pytest.raises(UserError, match="needs data with attributes"):
        Effects(First(), SimpleNamespace(name="digits", attribute_names=()), "true_effect")

    class Three(nn.Module):
        def forward(self, x):
            return torch.zeros(len(x), 3)

    with pytest.raises(UserError, match="needs two classes, found 3"):
        _ = Effects(Three(), faces([[1, 0, 0]]), "true_effect").by_name
