"""What is noted of a run, and files that are written whole or not at all."""

from __future__ import annotations

import json
import shlex
from importlib import metadata
from pathlib import Path

import pytest

from counterfoil.util.record import command_line, versions, whole, write_json, write_text


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def breaks() -> None:
        with whole(path) as partial:
            partial.write_text("half")
            assert path.read_text() == "old"
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        breaks()
    assert path.read_text() == "old"
    with whole(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_json_does_not_know_is_written_as_text(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"store": Path("models"), "n": 3})
    assert json.loads((tmp_path / "a.json").read_text()) == {"store": "models", "n": 3}


def test_versions_are_those_installed() -> None:
    found = versions()
    assert found["torch"] == metadata.version("torch")
    assert {"python", "platform", "counterfoil"} <= found.keys()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("/home/me/evaluate.py", ["python", "evaluate.py"]),
        ("/x/benchmarks/speed.py", ["python", "benchmarks/speed.py"]),
    ],
)
def test_the_command_can_be_repeated(monkeypatch: pytest.MonkeyPatch, script: str, words: list[str]) -> None:
    monkeypatch.setattr("sys.argv", [script, "n=3", "target=3 : 8"])
    assert shlex.split(command_line()) == [*words, "n=3", "target=3 : 8"]
