"""Outliers of a data set: of known kinds, the same every time."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from counterfoil.data.outliers import outliers


def test_outliers_are_of_known_kinds_and_repeat(toy: Any) -> None:
    x = toy.test[range(20)].x
    made, again = outliers(x), outliers(x)
    assert list(made) == ["noise", "black_square", "white_square", "shuffled"]
    assert all(torch.equal(made[kind], again[kind]) for kind in made)
    for kind, value in (("black_square", 0), ("white_square", 1)):
        changed = made[kind] != x
        assert (made[kind][changed] == value).all()
        assert (changed.flatten(1).sum(1) <= 25).all()
        assert changed.flatten(1).any(1).all()
    assert "digits" in outliers(x, "toy")
    assert "digits" not in outliers(x, "mnist")


def test_another_data_set_takes_the_shape_of_the_images() -> None:
    other = outliers(torch.rand(5, 3, 64, 64), "avatars")["digits"]
    assert other.shape == (5, 3, 64, 64)
    assert other.min() >= 0
    assert other.max() <= 1


def test_unlabelled_images_are_not_held_against_another_set(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may show the same as the other set does."""
    x = toy.test[range(20)].x
    assert "digits" in toy.outliers(x)
    monkeypatch.setattr(type(toy), "labelled", False)
    assert set(toy.outliers(x)) == {"noise", "black_square", "white_square", "shuffled"}
