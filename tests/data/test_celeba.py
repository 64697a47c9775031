"""CelebA's layout, written here by hand with three attributes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterfoil.core.errors import UserError
from counterfoil.data.celeba import CelebA

NAMES = ("Bald", "Smiling", "Young")
N = 40


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Picture i is grey 3 i; Smiling = i odd, Young = i % 4 < 2; splits 30 / 4 / 6, in mixed order."""
    root = tmp_path / "celeba"
    (root / "img_align_celeba").mkdir(parents=True)
    attributes, partition = [str(N), " ".join(NAMES) + " "], []
    for i in range(N):
        Image.new("RGB", (178, 218), (3 * i,) * 3).save(
            root / "img_align_celeba" / f"{i:06d}.jpg", quality=95
        )
        attributes.append(f"{i:06d}.jpg -1 {' 1' if i % 2 else '-1'} {' 1' if i % 4 < 2 else '-1'}")
        partition.append(f"{i:06d}.jpg {1 if i % 10 == 3 else 2 if i % 7 == 5 else 0}")
    (root / "list_attr_celeba.txt").write_text("\n".join(attributes) + "\n")
    (root / "list_eval_partition.txt").write_text("\n".join(partition) + "\n")
    return root


def celeba(root: Path | None, **options: object) -> CelebA:
    return CelebA(root=root, cache_dir=root and root.parent / "cache", **{"size": 16, **options})


def numbers(images: object) -> list[int]:
    """Which picture each row is, told from its grey value."""
    return (images.images[:, 0, 8, 8].float() / 3).round().int().tolist()


def test_images_attributes_and_splits_belong_together(root: Path) -> None:
    data = celeba(root)
    assert numbers(data.val) == [3, 13, 23, 33]
    assert numbers(data.test) == [5, 12, 19, 26]
    assert len(data.train) == N - 8
    assert data.attribute_names == NAMES
    assert data.class_names == ("not Smiling", "Smiling")
    for part in (data.train, data.val, data.test):
        assert part.labels.tolist() == [i % 2 for i in numbers(part)]
        assert part.attributes.tolist() == [[0, i % 2, int(i % 4 < 2)] for i in numbers(part)]
    assert (data.channels, data.size) == (3, 16)


def test_a_subset_of_attributes_and_another_label(root: Path) -> None:
    data = celeba(root, attributes=["Young", "Bald"], attribute="Young")
    assert data.attribute_names == ("Young", "Bald")
    assert data.test.labels.tolist() == [int(i % 4 < 2) for i in numbers(data.test)]
    with pytest.raises(
        UserError, match=r"data\.attributes names Hat; list_attr_celeba.txt has Bald, Smiling, Young"
    ):
        celeba(root, attributes=["Hat"]).setup()
    with pytest.raises(UserError, match="attribute=Bald is 0 in all"):
        celeba(root, attribute="Bald").setup()
    with pytest.raises(UserError, match="attribute=Smiling is not in data=celeba; known attributes: Young"):
        celeba(root, attributes=["Young"]).setup()


def test_second_run_reads_the_cache(root: Path) -> None:
    first = celeba(root)
    first.setup()
    stamp = next((root.parent / "cache").rglob("images.npy")).stat().st_mtime_ns
    second = celeba(root)
    assert np.array_equal(second.train.images, first.train.images)
    assert next((root.parent / "cache").rglob("images.npy")).stat().st_mtime_ns == stamp
    celeba(root, crop=100).setup()
    assert len(list((root.parent / "cache").iterdir())) == 2


def test_pictures_absent_from_a_list_are_left_out(root: Path) -> None:
    path = root / "list_eval_partition.txt"
    path.write_text(
        "\n".join(line for line in path.read_text().splitlines() if not line.startswith("000005"))
    )
    assert numbers(celeba(root).test) == [12, 19, 26]


def test_without_validation_split_one_is_held_out(root: Path) -> None:
    path = root / "list_eval_partition.txt"
    path.write_text(path.read_text().replace(".jpg 1", ".jpg 0"))
    data = celeba(root, val_fraction=0.25)
    assert sorted(numbers(data.train) + numbers(data.val) + numbers(data.test)) == list(range(N))
    assert len(data.val) == 9


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba"])
def test_missing_parts_are_named(root: Path, name: str) -> None:
    (root / name).rename(root / "elsewhere")
    with pytest.raises(UserError, match=f"lacks {name}"):
        celeba(root).setup()


def test_missing_and_truncated_pictures_are_named(root: Path) -> None:
    path = root / "img_align_celeba" / "000007.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[:300])
    with pytest.raises(UserError, match=r"000007\.jpg cannot be read"):
        celeba(root).setup()
    assert not list((root.parent / "cache").rglob("images.npy*"))
    path.unlink()
    with pytest.raises(UserError, match=r"000007\.jpg is missing"):
        celeba(root).setup()


def test_damaged_lists_are_told(root: Path) -> None:
    path = root / "list_attr_celeba.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-3]))
    with pytest.raises(UserError, match="truncated: its first line says 40 pictures, found 37"):
        celeba(root).setup()
    path.write_text("\n".join([*lines[:-1], lines[-1].rsplit(" ", 1)[0]]))
    with pytest.raises(UserError, match=r"000039\.jpg has 2 values; expected 3"):
        celeba(root).setup()
    path.write_text("hello")
    with pytest.raises(UserError, match="no list of attributes"):
        celeba(root).setup()


def test_root_is_needed_and_identifies(root: Path) -> None:
    with pytest.raises(UserError, match=r"data\.root=FOLDER"):
        _ = celeba(None).identity
    with pytest.raises(UserError, match="not a folder"):
        celeba(root / "absent").setup()
    assert celeba(root).identity != celeba(root, size=32).identity
    before = celeba(root).identity
    root.rename(root.with_name("moved"))
    assert celeba(root.with_name("moved")).identity == before
    for file in ("list_attr_celeba.txt", "img_align_celeba/000003.jpg"):
        path = root.with_name("moved") / file
        path.write_bytes(path.read_bytes().replace(b"-1", b" 1") + b"\n")
        after = celeba(root.with_name("moved")).identity
        assert after != before, file
        before = after
