"""Short names for what a file or a value holds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.util.digest import digest, file_digest, folder_digest


def test_a_digest_follows_the_value_and_not_the_order_of_its_keys() -> None:
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})
    assert digest({"a": 1, "b": [2, 3]}) != digest({"a": 1, "b": [3, 2]})
    assert len(digest(0)) == 10
    assert len(digest(0, digits=64)) == 64


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 8193)
    assert file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(UserError, match=r"checkpoint .*absent does not exist; check the path"):
        file_digest(tmp_path / "absent")


def test_a_folder_is_known_by_its_files_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a").write_bytes(b"1")
    first = folder_digest(tmp_path)
    assert folder_digest(tmp_path) == first
    (tmp_path / "below" / "a").write_bytes(b"2")
    assert folder_digest(tmp_path) != first
    (tmp_path / "below" / "a").write_bytes(b"1")
    (tmp_path / "below" / "a").rename(tmp_path / "a")
    assert folder_digest(tmp_path) != first
