"""Errors of a file system in one line, with the file that is meant."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.util.disk import WORDS, explain, refuse_full


def raised(act: object) -> OSError:
    with pytest.raises(OSError, match=r".+") as error:
        act()  # type: ignore[operator]
    return error.value


def test_a_file_in_the_way_is_named_and_not_what_was_to_lie_below(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("x")
    for below in ("models", "models/a", "models/a/b"):
        line = explain(raised(lambda below=below: (tmp_path / below).mkdir(parents=True)))
        assert line is not None
        assert line.startswith(f"{tmp_path / 'models'} is a file, expected a folder")


def test_a_name_that_is_too_long_is_cut_in_the_line(tmp_path: Path) -> None:
    line = explain(raised((tmp_path / ("n" * 300)).mkdir))
    assert line is not None
    assert line.startswith(f"{tmp_path / ('n' * 40)}...: the name is too long, at most 255 bytes")
    assert len(line) < 300


@pytest.mark.parametrize("number", [*WORDS, errno.ENOSPC, errno.EDQUOT])
def test_each_error_names_the_file_and_what_to_do(number: int) -> None:
    line = explain(OSError(number, os.strerror(number), "/data/models/a.safetensors"))
    assert line is not None
    assert "/data/models/a.safetensors" in line
    assert "; " in line
    assert "\n" not in line


def test_what_is_a_defect_stays_one() -> None:
    assert explain(FileNotFoundError(errno.ENOENT, "No such file", "a")) is None
    assert explain(OSError("no number")) is None


def test_what_cannot_fit_is_refused_and_what_can_is_not(tmp_path: Path) -> None:
    refuse_full(tmp_path, 1, "weights")
    told = r"no space left on the disk for .*weights need at least 1e\+12 MB.*store="
    with pytest.raises(UserError, match=told):
        refuse_full(tmp_path, 10**18, "weights")
