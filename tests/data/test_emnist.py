"""Splits of EMNIST; its files are in tests/inputs/test_layouts.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.data.emnist import SPLITS, Emnist


@pytest.mark.parametrize(
    ("split", "classes", "first"),
    [
        ("balanced", 47, "0"),
        ("bymerge", 47, "0"),
        ("byclass", 62, "0"),
        ("letters", 26, "A"),
        ("digits", 10, "0"),
    ],
)
def test_classes_of_the_splits(split: str, classes: int, first: str) -> None:
    data = Emnist(split=split)
    assert (len(set(data.labels_named)), data.labels_named[0]) == (classes, first)
    assert data.files[0] == f"emnist-{split}-train-images-idx3-ubyte"
    assert data.files[3] == f"emnist-{split}-test-labels-idx1-ubyte"
    assert data.options()["split"] == split


def test_names_of_the_merged_classes_follow_the_published_mapping() -> None:
    assert SPLITS["balanced"][10:12] + SPLITS["balanced"][36:] == "ABabdefghnqrt"
    assert SPLITS["byclass"][36] == "a"


def test_upright() -> None:
    assert Emnist().upright(torch.tensor([[[1, 2], [3, 4]]])).tolist() == [[[1, 3], [2, 4]]]


def test_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"data=emnist split=balanced is not in .*data\.root=FOLDER"):
        Emnist(cache_dir=tmp_path).setup()
    with pytest.raises(UserError, match=r"data\.split=upper is not supported"):
        Emnist(split="upper")
