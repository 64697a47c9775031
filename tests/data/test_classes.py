"""Some classes of a data set: which images stay, and what they are called."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from counterfoil.core.errors import UserError


def test_the_images_of_the_classes_alone_are_left_and_renumbered(toy: Any) -> None:
    whole, part = type(toy)(), type(toy)(classes=["right", 0])
    assert part.class_names == ("right", "left")
    assert part.num_classes == 2
    for split in ("train", "val", "test"):
        labels = getattr(part, split).labels
        assert labels.unique().tolist() == [0, 1]
    kept = whole.load().test
    rows = (kept.labels != 1).nonzero()[:, 0]
    assert torch.equal(part.test.images, kept.images[rows])
    assert torch.equal(part.test.labels, (kept.labels[rows] == 0).long())


def test_they_are_other_data_and_all_classes_are_the_same_ones(toy: Any) -> None:
    identities = [type(toy)(classes=classes).identity for classes in (None, [0, 1], [0, 2])]
    assert "classes" not in identities[0]
    assert identities[1] != identities[2]


@pytest.mark.parametrize(
    ("classes", "named"), [(["left"], "at least two"), ([0, 0], "at least two"), ([0, "up"], "up")]
)
def test_classes_that_there_are_not_are_refused(toy: Any, classes: list[Any], named: str) -> None:
    with pytest.raises(UserError, match=f"data.classes.*{named}"):
        type(toy)(classes=classes).setup()
