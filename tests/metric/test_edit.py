"""Edits of a generator that paints attributes, seen by a judge that reads them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.metric.edit import edits
from tests.metric.test_effect import faces
from tests.metric.test_introspection import Judge
from tests.metric.test_worlds import Painter

ROWS = [[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1]]


class Leaky(Painter):
    """Paints B whenever it paints A, and never C."""

    def decode(self, z, condition=None):
        painted = condition.clone()
        painted[:, 1] = torch.maximum(painted[:, 1], painted[:, 0])
        painted[:, 2] = 0
        return super().decode(z, painted)


@pytest.fixture
def data():
    made = faces(ROWS)
    made.attribute = "A"
    made.train = made.queried
    return made


def test_a_perfect_generator(data):
    found = {name: metric.figure() for name, metric in edits(Painter(), Judge(), data).items()}
    assert found["edit_l1"].value == 0
    assert all(found[f"{kind}/{name}"].value == 1 for kind in ("edit_seen", "edit_kept") for name in "ABC")
    assert found["edit_seen/A"].n == 4


def test_what_leaks_is_seen_and_what_excludes_each_other_is_no_other(data):
    """A and C never occur together, so that taking C off for A is right; B is then the only other."""
    found = {name: metric.figure() for name, metric in edits(Leaky(), Judge(), data, n=3).items()}
    assert found["edit_seen/A"].value == 1
    assert found["edit_seen/C"].value == pytest.approx(1 / 3), "only where C was to come off"
    # turning A moves B in the first row (off with A) and in the third (on with A); the second has B anyway
    assert found["edit_kept/A"].value == pytest.approx(1 / 3)
    assert found["edit_kept/A"].n == 3


def test_refusals(data):
    with pytest.raises(UserError, match="edits attributes, found SimpleNamespace; set generative=attgan"):
        edits(SimpleNamespace(), Judge(), data)
    with pytest.raises(UserError, match="needs judge="):
        edits(Painter(), None, data)
