"""Accuracies and turned decisions of classifiers that are known."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.metric.worlds import turned, worlds
from tests.metric.test_effect import First, faces

SPURIOUS = {"first": "A", "second": "B", "strength": 0.9}


class Painter(nn.Module):
    """A generator that writes attributes into the first pixels; its code is nothing."""

    attribute_names = ("A", "B", "C")

    def encode(self, x, condition=None):
        return torch.zeros(len(x), 1)

    def attributes(self, x):
        return x.flatten(1)[:, :3]

    def decode(self, z, condition=None):
        return torch.cat((condition, torch.zeros(len(z), 1)), 1).view(-1, 1, 2, 2)


def test_accuracies_weigh_images_that_agree_by_the_strength():
    """Right on both that agree, and on one of the two that differ."""
    data = faces([[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
    data.queried.labels[3] = 1
    found = {name: metric.figure() for name, metric in worlds(First(), data, SPURIOUS).items()}
    assert [found[f"accuracy_{world}"].value for world in ("unbiased", "as_trained", "inverted")] == (
        pytest.approx([0.75, 0.9 + 0.1 * 0.5, 0.1 + 0.9 * 0.5])
    )
    assert all(entry.low < entry.value and entry.n == 4 for entry in found.values())
    bare = worlds(First(), data, None)
    assert bare["accuracy_unbiased"].figure() == found["accuracy_unbiased"]
    assert math.isnan(bare["accuracy_inverted"].figure().value)


def test_decisions_turned_by_an_attribute():
    data = faces([[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
    data.twins = lambda name, n: (
        faces(
            [
                [1 - a if name == "A" else a, 1 - b if name == "B" else b, c]
                for a, b, c in data.queried.attributes.tolist()
            ]
        ).queried
    )
    for attribute, share in (("A", 1.0), ("B", 0.0)):
        made = turned(First(), Painter(), data, attribute)
        assert made["turned_generator"].figure().value == share
        assert made["turned_drawn"].figure().value == share
    del data.twins
    assert math.isnan(turned(First(), Painter(), data, "A")["turned_drawn"].figure().value)


def test_they_are_the_same_for_every_method(make):
    metric = worlds(First(), faces([[1, 1, 0], [0, 0, 1]]), SPURIOUS)["accuracy_unbiased"]
    metric.update(make(3))
    assert metric.figure().value == 1.0


def test_refusals():
    data = faces([[1, 1, 0]])
    with pytest.raises(UserError, match="attribute=Hat is not known; known: A, B, C"):
        turned(First(), Painter(), data, "Hat")
    with pytest.raises(UserError, match=r"set metric\.turned\.attribute"):
        turned(First(), Painter(), data, None)
    with pytest.raises(UserError, match="edits attributes, found SimpleNamespace; set generative=attgan"):
        turned(First(), SimpleNamespace(), data, "A")
