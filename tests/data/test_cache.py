"""The file of decoded images."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.data.cache import cache_root, open_cached, write_cached


def chunks(sizes: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    for i, size in enumerate(sizes):
        yield np.full((size, 1, 2, 2), i, dtype=np.uint8)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "images.npy"
    images = write_cached(path, (5, 1, 2, 2), chunks((3, 2)), "Writing")
    assert images[:, 0, 0, 0].tolist() == [0, 0, 0, 1, 1]
    again = open_cached(path, (5, 1, 2, 2))
    assert again is not None
    assert torch.equal(images, again)
    assert sorted(file.name for file in path.parent.iterdir()) == ["images.npy", "images.npy.json"]


@pytest.mark.filterwarnings("error")
def test_changed_content_counts_as_missing_and_a_changed_time_does_not(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    write_cached(path, (5, 1, 2, 2), chunks((3, 2)), "Writing")
    os.utime(path, (0, 0))
    assert open_cached(path, (5, 1, 2, 2)) is not None
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.warns(CounterfoilWarning, match=r"images\.npy is damaged and made anew"):
        assert open_cached(path, (5, 1, 2, 2)) is None


def test_a_damaged_file_counts_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    write_cached(path, (5, 1, 2, 2), chunks((5,)), "Writing")
    assert open_cached(path, (6, 1, 2, 2)) is None
    path.write_bytes(path.read_bytes()[:-1])
    assert open_cached(path, (5, 1, 2, 2)) is None
    assert open_cached(tmp_path / "absent.npy", (5, 1, 2, 2)) is None


def test_nothing_is_left_when_the_source_fails(tmp_path: Path) -> None:
    def failing() -> Iterator[NDArray[np.uint8]]:
        yield from chunks((1,))
        raise UserError("bad picture")

    with pytest.raises(UserError, match="bad picture"):
        write_cached(tmp_path / "images.npy", (5, 1, 2, 2), failing(), "Writing")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*cannot be written.*cache_dir"):
        write_cached(tmp_path / "file" / "images.npy", (1, 1, 2, 2), chunks((1,)), "Writing")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", lambda self, mode: builtins.open("/dev/full", mode))  # noqa: SIM115
    with pytest.raises(UserError, match="No space left"):
        write_cached(tmp_path / "images.npy", (1, 1, 2, 2), chunks((1,)), "Writing")


def test_cache_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_CACHE", "/elsewhere")
    assert cache_root(None) == Path("/elsewhere")
    assert cache_root("/here") == Path("/here")
