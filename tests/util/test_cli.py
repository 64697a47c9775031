"""What the command line shows of warnings and announcements."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

import pytest
from omegaconf import OmegaConf

from counterfoil.core.errors import CounterfoilWarning
from counterfoil.util import cli


@pytest.fixture
def talking() -> Iterator[None]:
    with warnings.catch_warnings():
        cli.talk()
        cli.talk()
        yield


@pytest.mark.usefixtures("talking")
def test_our_warnings_are_one_line_each_every_time(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        warnings.warn("first\nsecond [bold] " + 60 * "word ", CounterfoilWarning, stacklevel=1)
    out, error = capsys.readouterr()
    assert out == ""
    lines = error.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("warning: first second [bold] word") for line in lines)
    assert all(line.count("word") == 60 for line in lines)


def test_other_warnings_are_left_to_whoever_showed_them(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    with warnings.catch_warnings():
        monkeypatch.setattr(warnings, "showwarning", lambda *given, **_named: shown.append(given[1]))
        cli.talk()
        warnings.simplefilter("always")
        warnings.warn("theirs", RuntimeWarning, stacklevel=1)
    assert shown == [RuntimeWarning]


@pytest.mark.usefixtures("talking")
def test_announcements_stand_on_standard_output_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("counterfoil").info("12 of [40] queries")
    assert capsys.readouterr().out == "12 of [40] queries\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["n=3"], "the same command goes on from here"),
        (["n=3", "overwrite=true"], "the same command without overwrite=true goes on from here"),
        (["study=mnist", "overwrite=true"], "the same command runs all jobs again"),
    ],
)
def test_a_stopped_command_says_what_it_does_next(arguments: list[str], line: str) -> None:
    assert cli._next(["evaluate.py", *arguments]) == line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            type("TerminatedWorkerError", (Exception,), {})("A worker stopped.\nExit codes"),
            "(A worker stopped.)",
        ),
        (type("FailedJobError", (RuntimeError,), {})("Job 1 failed\nTraceback"), "ended (Job 1 failed); see"),
        (RuntimeError('Could not detect "srun", are you on a cluster?'), "no Slurm on this machine"),
    ],
)
def test_what_a_launcher_raises_is_one_line(error: Exception, line: str) -> None:
    told = cli.explain_error(error)
    assert told is not None
    assert line in told
    assert "\n" not in told


def test_a_switch_gives_a_list_that_resolves() -> None:
    config = OmegaConf.create({"at": 0.9, "methods": "${switch:${at},0.95,null,[wachter,revise]}"})
    OmegaConf.resolve(config)
    assert config == {"at": 0.9, "methods": ["wachter", "revise"]}
    other = OmegaConf.create({"at": 0.95, "methods": "${switch:${at},0.95,null,[wachter,revise]}"})
    assert other.methods is None


@pytest.mark.usefixtures("talking")
def test_a_job_keeps_its_memory_in_whatever_process_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(cli, "keep_memory", lambda: order.append("kept"))
    cli.one_line(lambda config: order.append("worked"))(OmegaConf.create())
    assert order == ["kept", "worked"]
