"""Files are whole or as they were, whoever else writes them, and a full disk names the file."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors import SafetensorError

from counterfoil.core.whole import ENDING, is_full, whole


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def breaks() -> None:
        with whole(path) as partial:
            partial.write_text("half")
            assert path.read_text() == "old"
            raise OSError("out of paper")

    with pytest.raises(OSError, match="out of paper"):
        breaks()
    assert path.read_text() == "old"
    with whole(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_many_writers_of_one_file_leave_one_of_their_contents(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"

    def write(letter: str) -> None:
        for _ in range(20):
            with whole(path) as partial:
                assert partial.name.endswith(ENDING)
                partial.write_text(letter * 1000)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcd"))
    assert len(path.read_text()) == 1000
    assert len(set(path.read_text())) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_the_longest_name_a_file_system_takes_can_be_written(tmp_path: Path) -> None:
    with whole(tmp_path / ("n" * 255)) as partial:
        partial.write_text("x")
    assert (tmp_path / ("n" * 255)).read_text() == "x"


@pytest.mark.parametrize(
    "said",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: No space left on device"),
    ],
)
def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path, said: Exception) -> None:
    def fills() -> None:
        with whole(tmp_path / "a.txt"):
            raise said

    with pytest.raises(OSError, match=r"a\.txt") as raised:
        fills()
    assert raised.value.errno == errno.ENOSPC
    assert is_full(said)
    assert not is_full(OSError(errno.EACCES, "Permission denied"))
