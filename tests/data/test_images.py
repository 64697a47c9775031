"""A folder of images of which nothing else is known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from counterfoil.core.errors import UserError
from counterfoil.data import reading
from counterfoil.data.images import Unlabelled


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three grey pictures 6 px wide and 8 high of the values 10, 20, 30, beside a text."""
    (tmp_path / "set").mkdir()
    for i in range(3):
        Image.new("L", (6, 8), 10 * (i + 1)).save(tmp_path / "set" / f"{i}.png")
    (tmp_path / "set" / "notes.txt").write_text("none of the images")
    return tmp_path / "set"


def test_all_images_are_queries_and_none_is_for_training(pictures: Path) -> None:
    data = Unlabelled(root=pictures)
    assert [len(part) for part in (data.train, data.val, data.test)] == [0, 3, 3]
    assert data.test.images[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert data.test.names == ("0.png", "1.png", "2.png")
    assert (data.channels, data.size, data.class_names, data.labelled) == (1, 6, (), False)


def test_options_shape_and_name(pictures: Path) -> None:
    data = Unlabelled(root=pictures, size=4, channels=3, class_names=["cat", "dog"], limit=2)
    assert data.test.images.shape == (2, 3, 4, 4)
    assert data.class_names == ("cat", "dog")


def test_identity_follows_the_files(pictures: Path) -> None:
    before = Unlabelled(root=pictures).identity
    assert Unlabelled(root=pictures, batch_size=2).identity == before
    os.utime(pictures / "1.png", (0, 0))
    assert Unlabelled(root=pictures).identity == before
    (pictures / "1.png").write_bytes((pictures / "1.png").read_bytes() + b"x")
    assert Unlabelled(root=pictures).identity != before


def test_many_images_go_by_the_cache(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_CACHE_FROM_FILES", 3)
    cached = Unlabelled(root=pictures, cache_dir=tmp_path / "cache")
    assert torch.equal(
        cached.test.images, Unlabelled(root=pictures, cache_dir=tmp_path / "cache").test.images
    )
    assert list((tmp_path / "cache").rglob("images.npy"))


def test_bad_folders_and_options_are_told(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.root=FOLDER"):
        Unlabelled().setup()
    with pytest.raises(UserError, match="absent is not a folder"):
        Unlabelled(root=tmp_path / "absent").setup()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no image files; put the images"):
        Unlabelled(root=tmp_path / "empty").setup()
    with pytest.raises(UserError, match="holds no image files; choose data=folder"):
        Unlabelled(root=tmp_path).setup()
    (pictures / "1.png").write_text("text")
    with pytest.raises(UserError, match=r"1\.png cannot be read as an image"):
        Unlabelled(root=pictures).setup()
    with pytest.raises(UserError, match=r"data\.channels=2: expected 1, 3"):
        Unlabelled(root=pictures, channels=2)
    with pytest.raises(UserError, match="at least two different names"):
        Unlabelled(root=pictures, class_names=["cat", "cat"])
    with pytest.raises(UserError, match="attribute=Smiling is not in data=images"):
        Unlabelled(root=_one_picture(tmp_path), attribute="Smiling").setup()


def _one_picture(folder: Path) -> Path:
    Image.new("L", (6, 6)).save(folder / "a.png")
    return folder
