"""How a command is told, so that it can be repeated in the way it was given."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.util import command
from counterfoil.util.command import ARGUMENTS, called, command_line, configs, named, split

CHECKOUT = Path(__file__).parents[2]
FORMS = {
    "/home/me/evaluate.py": (["python", "evaluate.py"], ["python", "train.py"], "train.py"),
    "/x/benchmarks/speed.py": (["python", "benchmarks/speed.py"], ["python", "train.py"], "train.py"),
    "/venv/bin/counterfoil-evaluate": (
        ["counterfoil-evaluate"],
        ["counterfoil-train"],
        "counterfoil-train",
    ),
    "python -m counterfoil evaluate": (
        ["python", "-m", "counterfoil", "evaluate"],
        ["python", "-m", "counterfoil", "train"],
        "python -m counterfoil train",
    ),
}
"""First word of a process -> the words of its command, those that call train, and its name in a message."""


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv(ARGUMENTS, raising=False)
    return monkeypatch


@pytest.mark.parametrize("first", FORMS)
def test_the_command_can_be_repeated(given: pytest.MonkeyPatch, first: str) -> None:
    given.setattr("sys.argv", [first, "n=3", "target=3 : 8"])
    words, train, name = FORMS[first]
    assert shlex.split(command_line()) == [*words, "n=3", "target=3 : 8"]
    assert split(command_line()) == (words, ["n=3", "target=3 : 8"])
    assert called("train") == train
    assert named("train") == name
    given.setenv(ARGUMENTS, json.dumps(["evaluate.py", "study=mnist"]))
    assert command_line() == "python evaluate.py study=mnist", "a launcher's process has other words"


def test_without_a_checkout_the_installed_commands_are_named(
    given: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given.setattr("sys.argv", ["notebook"])
    given.setattr(command, "CHECKOUT", tmp_path)
    assert named("train") == "counterfoil-train"


def test_configs_lie_in_the_package_or_at_the_top_of_a_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert configs() == CHECKOUT / "conf"
    monkeypatch.setattr(command, "PACKAGE", tmp_path)
    (tmp_path / "conf").mkdir()
    assert configs() == CHECKOUT / "conf", "a folder of another kind"
    (tmp_path / "conf" / "evaluate.yaml").touch()
    assert configs() == tmp_path / "conf"
    monkeypatch.setattr(command, "PACKAGE", tmp_path / "nowhere")
    monkeypatch.setattr(command, "CHECKOUT", tmp_path / "nowhere")
    with pytest.raises(UserError, match="install counterfoil again"):
        configs()
