"""What is noted of a run, and files that are written whole or not at all."""

from __future__ import annotations

import json
import math
import os
from importlib import metadata
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.util.record import read_json, versions, write_json, write_text


def test_what_was_written_is_read_and_what_was_changed_since_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    written = {"store": Path("models"), "n": 3, "value": math.nan, "part": {"b": [1, 0.1], "a": None}}
    write_json(path, written)
    held = read_json(path, "figures")
    assert math.isnan(held.pop("value"))
    assert held == {"store": "models", "n": 3, "part": {"b": [1, 0.1], "a": None}}
    path.write_text(path.read_text().replace("0.1", "0.7"))
    told = r"a\.json was changed or damaged since it was written, expected the figures"
    with pytest.raises(UserError, match=told):
        read_json(path, "figures")


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", "\x00"])
def test_what_is_no_mapping_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match="expected the figures") as refused:
        read_json(tmp_path / "a.json", "figures")
    assert "\n" not in str(refused.value)


def test_a_file_without_a_hash_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"n": 3}')
    assert read_json(tmp_path / "a.json", "figures") == {"n": 3}
    write_json(tmp_path / "b.json", read_json(tmp_path / "a.json", "figures"))
    write_json(tmp_path / "b.json", json.loads((tmp_path / "b.json").read_text()) | {"m": 4})
    assert read_json(tmp_path / "b.json", "figures") == {"n": 3, "m": 4}


def test_a_name_that_is_not_utf8_keeps_its_bytes(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", os.fsdecode(b"\xff.png"))
    assert (tmp_path / "a.txt").read_bytes() == b"\xff.png"


def test_versions_are_those_installed() -> None:
    found = versions()
    assert found["torch"] == metadata.version("torch")
    assert {"python", "platform", "counterfoil"} <= found.keys()
