"""A person's own images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from counterfoil.core.errors import UserError
from counterfoil.data import reading as module
from counterfoil.data.folder import Folder


def picture(path: Path, value: int = 0, size: tuple[int, int] = (6, 6), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value,) * 3).save(path)


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """60 pictures per class; their value is 10 for the class "b" and 20 for "a"."""
    for name, value in (("b", 10), ("a", 20)):
        for i in range(60):
            picture(tmp_path / "set" / name / f"{i}.png", value)
    return tmp_path / "set"


def names_by_part(data: Folder) -> dict[str, str | None]:
    return {str(Path(row.path).name): row.part for row in data._table[0]}


def test_sub_folders_are_classes(classes: Path) -> None:
    data = Folder(root=classes)
    assert data.class_names == ("a", "b")
    assert (data.channels, data.size) == (1, 6)
    assert len(data.train) + len(data.val) + len(data.test) == 120
    assert 80 <= len(data.train) <= 110
    for part in (data.train, data.val, data.test):
        assert len(part) > 0
        assert part.images[:, 0, 0, 0].tolist() == [20 if label == 0 else 10 for label in part.labels]


def test_the_hash_split_is_stable_when_images_are_added(classes: Path, tmp_path: Path) -> None:
    before = names_by_part(Folder(root=classes))
    for i in range(60, 90):
        picture(classes / "a" / f"{i}.png", 20)
    after = names_by_part(Folder(root=classes))
    assert {name: after[name] for name in before} == before
    classes.rename(tmp_path / "moved")
    assert names_by_part(Folder(root=tmp_path / "moved")) == after


@pytest.mark.parametrize("val", [None, "val", "validation"])
def test_split_sub_folders_are_used(tmp_path: Path, val: str | None) -> None:
    for part, n in (("train", 10), (val, 4), ("test", 3)):
        for label in ("x", "y"):
            for i in range(n if part else 0):
                picture(tmp_path / str(part) / label / f"{i}.png")
    data = Folder(root=tmp_path)
    assert [len(part) for part in (data.train, data.val, data.test)] == ([20, 8, 6] if val else [18, 2, 6])


def test_numbers_are_ordered_by_value(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("10", "9", "1"):
            picture(tmp_path / part / label / "x.png")
            picture(tmp_path / part / label / "y.png")
    assert Folder(root=tmp_path).class_names == ("1", "9", "10")


def test_size_and_channels(tmp_path: Path) -> None:
    for i in range(4):
        picture(tmp_path / "train" / str(i % 2) / f"{i}.png", size=(8 + i, 6), mode="RGB")
        picture(tmp_path / "test" / str(i % 2) / f"{i}.jpg", size=(20, 30))
    data = Folder(root=tmp_path)
    assert (data.channels, data.size) == (3, 6)
    data = Folder(root=tmp_path, size=12, channels=1)
    assert data.test.images.shape == (4, 1, 12, 12)
    assert data.identity != Folder(root=tmp_path).identity


def test_csv_with_attributes_and_splits(tmp_path: Path) -> None:
    lines = ["path,label,split,round,Big"]
    for i in range(12):
        picture(tmp_path / "pics" / f"{i}.png", i)
        lines.append(
            f"pics/{i}.png,{'cat' if i % 3 else 'dog'},{'test' if i >= 8 else 'train'},"
            f"{i % 2},{'-1' if i < 6 else '1'}"
        )
    (tmp_path / "table.csv").write_text("\n".join(lines))
    data = Folder(csv=tmp_path / "table.csv")
    assert data.class_names == ("cat", "dog")
    assert data.attribute_names == ("round", "Big")
    rows = data.test.images[:, 0, 0, 0].tolist()
    assert sorted(rows) == [8, 9, 10, 11]
    assert data.test.labels.tolist() == [int(i % 3 == 0) for i in rows]
    assert data.test.attributes.tolist() == [[i % 2, 1] for i in rows]
    assert Folder(csv=tmp_path / "table.csv", attribute="round").class_names == ("not round", "round")


def test_the_order_and_the_names_of_a_csv_are_kept(tmp_path: Path) -> None:
    order = [7, 2, 9, 0, 5, 3, 8, 1]
    for i in order:
        picture(tmp_path / "pics" / f"{i}.png", i)
    rows = [f"pics/{i}.png,{'ab'[i % 2]},{'train' if i < 4 else 'test'}" for i in order]
    (tmp_path / "t.csv").write_text("\n".join(("path,label,split", *rows)))
    data = Folder(csv=tmp_path / "t.csv", val_fraction=0.01)
    assert data.test.names == ("pics/7.png", "pics/9.png", "pics/5.png", "pics/8.png")
    assert data.test.images[:, 0, 0, 0].tolist() == [7, 9, 5, 8]
    assert data.test.labels.tolist() == [1, 1, 1, 0]
    few = Folder(csv=tmp_path / "t.csv", limit=2)
    assert few.test.names == ("pics/7.png", "pics/8.png")


def test_sub_folders_name_their_files(classes: Path) -> None:
    names = Folder(root=classes).test.names
    assert list(names) == sorted(names)
    assert all((classes / str(name)).is_file() for name in names)


def test_a_class_without_training_images_is_told(tmp_path: Path) -> None:
    for i in range(2):
        picture(tmp_path / f"{i}.png")
    for text, said in (
        ("path,label,split\n0.png,a,train\n1.png,b,test\n", "no training image of the class b"),
        ("path,label,split\n0.png,a,train\n1.png,a,test\n", "the one class 'a'"),
        ("path,label,split\n0.png,a,train\n9.png,b,train\n1.png,b,test\n", r"9\.png is missing"),
    ):
        (tmp_path / "table.csv").write_text(text)
        with pytest.raises(UserError, match=said):
            Folder(csv=tmp_path / "table.csv").setup()


def test_bad_folders_are_told(tmp_path: Path, classes: Path) -> None:
    with pytest.raises(UserError, match=r"data\.root=FOLDER"):
        Folder().setup()
    with pytest.raises(UserError, match="not a folder"):
        Folder(root=tmp_path / "absent").setup()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no images"):
        Folder(root=tmp_path / "empty").setup()
    (classes / "b").rename(tmp_path / "b")
    with pytest.raises(UserError, match="the one class 'a'"):
        Folder(root=classes).setup()
    (tmp_path / "b").rename(classes / "b")
    (classes / "b" / "7.png").write_text("text")
    with pytest.raises(UserError, match=r"7\.png cannot be read"):
        Folder(root=classes).setup()
    with pytest.raises(UserError, match="channels=4"):
        Folder(root=classes, channels=4)


def test_identity_follows_the_files(classes: Path) -> None:
    before = Folder(root=classes).identity
    assert Folder(root=classes, batch_size=2).identity == before
    picture(classes / "a" / "3.png", 21)
    replaced = Folder(root=classes).identity
    assert replaced != before, "another picture of one name"
    (classes / "a" / "3.png").rename(classes / "b" / "103.png")
    assert Folder(root=classes).identity not in (before, replaced)


def test_names_that_are_no_text(classes: Path) -> None:
    for name in "ab":
        (classes / name / "3.png").rename(classes / name / "\udcff.png")
    assert len(Folder(root=classes).identity["content"]) == 32


def test_identity_follows_labels_and_no_place(classes: Path, tmp_path: Path) -> None:
    before = Folder(root=classes).identity
    classes.rename(tmp_path / "moved")
    assert Folder(root=tmp_path / "moved").identity == before
    rows = ["path,label", *(f"{name}/{i}.png,{name}" for name in "ab" for i in range(60))]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(rows))
    tabled = Folder(root=tmp_path / "moved", csv=table).identity
    table.write_text("\n".join(rows[:1] + [f"{row[:-1]}{'ab'[row[-1] == 'a']}" for row in rows[1:]]))
    assert Folder(root=tmp_path / "moved", csv=table).identity != tabled, "the same pictures, labels reversed"


def test_a_large_set_is_decoded_again_where_a_picture_was_replaced(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CACHE_FROM_FILES", 3)
    cache = tmp_path / "cache"
    assert int(Folder(root=classes, cache_dir=cache).train.images.max()) == 20
    times = (classes / "a" / "3.png").stat()
    picture(classes / "a" / "3.png", 24)
    os.utime(classes / "a" / "3.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    data = Folder(root=classes, cache_dir=cache)
    assert max(int(part.images.max()) for part in (data.train, data.val, data.test)) == 24


def test_a_large_set_is_cached(classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Folder(root=classes, cache_dir=tmp_path / "cache")
    small.setup()
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(module, "_CACHE_FROM_FILES", 100)
    large = Folder(root=classes, cache_dir=tmp_path / "cache")
    assert torch.equal(large.train.images, small.train.images)
    assert list((tmp_path / "cache").rglob("images.npy"))
