"""What a zip archive promises is held against what it can have."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from counterfoil.util.archive import memory, open_zip, read_arrays


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.savez_compressed(tmp_path / "a.npz", a=np.arange(6).reshape(2, 3), b=np.zeros((0, 4)), c=np.float32(2))
    return tmp_path / "a.npz"


def test_named_arrays_alone_are_read(file: Path) -> None:
    found = read_arrays(file, ["a", "c", "absent"])
    assert found.keys() == {"a", "c"}
    assert np.array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    assert found["c"].shape == ()
    assert found["c"] == 2
    assert read_arrays(file, ["b"])["b"].shape == (0, 4)


@pytest.mark.parametrize("array", [np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array([True, False])])
def test_orders_and_kinds(tmp_path: Path, array: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", a=array)
    assert np.array_equal(read_arrays(tmp_path / "a.npz", ["a"])["a"], array)


def test_zeros_may_be_compressed_a_thousandfold(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(2_000_000, np.uint8))
    assert read_arrays(tmp_path / "a.npz", ["a"])["a"].shape == (2_000_000,)


def test_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{}], object))
    with pytest.raises(ValueError, match="objects"):
        read_arrays(tmp_path / "a.npz", ["a"])


def test_more_than_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"x")
        archive.infolist()[0].file_size = memory() + 1
    with pytest.raises(ValueError, match="would unpack"), open_zip(path):
        pass
    assert memory() > 1 << 28


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"x")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"y")
    with pytest.raises(ValueError, match="two entries are called a"), open_zip(path):
        pass
