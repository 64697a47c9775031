"""Digests of files: read once, told again from sizes and times, and never an old one for new content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.data import content
from counterfoil.data.content import NAME, file_digests


class Reader:
    """Counts what it reads."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, path: Path) -> bytes:
        self.read.append(path.name)
        return path.read_bytes()


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files made just now count as old."""
    monkeypatch.setattr(content, "SETTLED", -60.0)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    made = [folder / "a.png", folder / "sub" / "a.png", tmp_path / "elsewhere.png"]
    for i, path in enumerate(made):
        path.write_bytes(bytes([i]) * 10)
    return made


def read_by(files: list[Path]) -> tuple[list[str], list[str]]:
    """The digests, and the names of the files that were read for them."""
    reader = Reader()
    return file_digests(files, files[0].parent, files[0].parents[1] / "cache", reader), sorted(reader.read)


def test_a_digest_is_that_of_the_content_and_files_are_read_once(files: list[Path]) -> None:
    found, read = read_by(files)
    assert found == [hashlib.sha256(bytes([i]) * 10).hexdigest()[:32] for i in range(3)]
    assert len(read) == 3
    assert (files[0].parent / NAME).is_file()
    assert read_by(files) == (found, [])


def test_another_file_of_the_same_size_and_time_is_read(files: list[Path], tmp_path: Path) -> None:
    before, _ = read_by(files)
    times = files[1].stat()
    (tmp_path / "new").write_bytes(b"x" * 10)
    os.utime(tmp_path / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    (tmp_path / "new").replace(files[1])
    after, read = read_by(files)
    assert read == ["a.png"]
    assert after[1] not in before
    assert [after[0], after[2]] == [before[0], before[2]]


def test_one_new_file_is_read_alone_and_other_lists_are_kept(files: list[Path]) -> None:
    read_by(files)
    files[2].write_bytes(b"another")
    assert read_by([files[0], files[2]])[1] == ["elsewhere.png"]
    assert read_by(files)[1] == [], "a shorter list does not forget the others"


def test_what_changed_a_moment_ago_is_read_again(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "SETTLED", 60.0)
    found, _ = read_by(files)
    assert read_by(files) == (found, ["a.png", "a.png", "elsewhere.png"])
    assert not (files[0].parent / NAME).exists()


def test_folders_that_cannot_be_written(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache serves in place of the data's folder; without it, all is read again."""
    write = content.write_text

    def refused(path: Path, text: str) -> None:
        if path.parent in barred:
            raise PermissionError(path)
        write(path, text)

    monkeypatch.setattr(content, "write_text", refused)
    barred = [files[0].parent]
    found, _ = read_by(files)
    assert len(list((tmp_path / "cache" / "content").iterdir())) == 1
    assert read_by(files) == (found, [])
    barred.append(tmp_path / "cache" / "content")
    files[0].write_bytes(b"other")
    assert len(read_by(files)[1]) == len(read_by(files)[1]) == 1


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\xfe", None])
def test_a_damaged_list_knows_nothing(files: list[Path], damage: bytes | None) -> None:
    found, _ = read_by(files)
    place = files[0].parent / NAME
    whole = place.read_bytes()
    place.write_bytes(whole.replace(found[0].encode(), b"0" * 32) if damage is None else damage)
    assert read_by(files)[0] == found


def test_missing_and_unreadable_files_are_named(files: list[Path]) -> None:
    def torn(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    with pytest.raises(UserError, match=r"a\.png cannot be read \(Input/output error\); "):
        file_digests(files, files[0].parent, None, torn)
    files[2].unlink()
    with pytest.raises(UserError, match=r"elsewhere\.png is missing"):
        read_by(files)
