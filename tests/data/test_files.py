"""A cell finds its file however it is spelt, and files keep names that can be printed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.data.files import file_names, find_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a/b.png", "a/caf\u00e9.png", "a/cafe\u0301s.png", "ISIC_01.jpg", "back\\slash.png"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a/b.png", "a/b.png"),
        ("./a/b.png", "a/b.png"),
        ("a\\b.png", "a/b.png"),
        (".\\a\\b.png", "a/b.png"),
        ("back\\slash.png", "back\\slash.png"),
        ("a/cafe\u0301.png", "a/caf\u00e9.png"),
        ("a/caf\u00e9s.png", "a/cafe\u0301s.png"),
        ("ISIC_01", "ISIC_01.jpg"),
        ("none.png", "none.png"),
        ("n\u00f6ne", "n\u00f6ne"),
    ],
)
def test_a_cell_finds_its_file(root: Path, text: str, found: str) -> None:
    assert find_file(text, [root], "t.csv, line 2") == root / found
    assert find_file(str(root / found), [root], "t.csv, line 2") == root / found


def test_the_first_folder_that_has_it(root: Path, tmp_path: Path) -> None:
    assert find_file("a/b.png", [tmp_path, root], "") == root / "a/b.png"
    assert find_file("none.png", [tmp_path, root], "") == tmp_path / "none.png"


@pytest.mark.parametrize("text", ["C:\\study\\a.png", "d:/a.png", "\\\\server\\share\\a.png"])
def test_a_drive_of_another_machine_is_refused(root: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"line 2.*another machine.*relative to .*root"):
        find_file(text, [root], "t.csv, line 2")


def test_what_no_path_can_be_is_left_to_the_reader(root: Path) -> None:
    for text in ("x\0y.png", "n" * 5000):
        assert find_file(text, [root], "").name == text


def test_names_are_paths_below_the_root(root: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(str(root)) + b"/caf\xe9.png"))
    names = file_names([root / "a" / "b.png", tmp_path / "c.png", odd], root)
    assert names == ("a/b.png", str(tmp_path / "c.png"), "caf\\udce9.png")
    "".join(names).encode()
