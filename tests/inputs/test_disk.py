"""Folders that cannot be written, and names that are hard to write: one line that names the right file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.errors import UserError
from tests.inputs.case import At, Case, cases

TRAIN = ("classifier=cnn", "classifier.training.epochs=1", "logger=none")


def ran(at: At, name: str, *overrides: str) -> str:
    """What a script said; raises the one line that it ended with."""
    small = at.bench.models_of(TRAIN) if name == "train" else at.bench.models
    given = [part for part in overrides if not part.startswith("small")]
    code, out, error = at.script(name, *small, *given)
    if code:
        assert error.startswith("error: "), error
        raise UserError(error.removeprefix("error: "))
    return out


def train(at: At, *overrides: str) -> Any:
    store = () if any(part.startswith("store=") for part in overrides) else ("store=store",)
    return ran(at, "train", *TRAIN, *store, *overrides)


def evaluate(at: At, *overrides: str) -> Any:
    small = ("n=2", "explainer=[unchanged]", "metric=[validity]", "logger=none")
    store = () if any(part.startswith("store=") for part in overrides) else (f"store={at.bench.store}",)
    return ran(at, "evaluate", *small, *store, *overrides)


def file(at: At) -> Path:
    path = at.folder / "taken"
    path.write_text("mine")
    return path


def markup(at: At) -> bool:
    run_dir = at.folder / "[bold]a[" / "red] [" / "x]"
    out = evaluate(at, f"run_dir='{run_dir}'")
    return f"Report: {run_dir / 'report.html'}" in out and (run_dir / "metrics.json").is_file()


def undecodable(at: At) -> str:
    name = os.fsdecode(b"caf\xe9")
    return ran(at, "evaluate", f"run_dir={at.folder}/{name}")


def nearly_full(at: At) -> Any:
    patch: pytest.MonkeyPatch = at.request.getfixturevalue("monkeypatch")
    patch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 5000})())
    return train(at)


IN_THE_WAY = ("taken is a file, expected a folder", "choose another run_dir= or store=")
LONG = "n" * 300
CASES = (
    Case("run_dir is a file", lambda at: evaluate(at, f"run_dir={file(at)}"), says=IN_THE_WAY),
    Case("run_dir below a file", lambda at: evaluate(at, f"run_dir={file(at)}/a/b"), says=IN_THE_WAY),
    Case("run_dir of a training is a file", lambda at: train(at, f"run_dir={file(at)}"), says=IN_THE_WAY),
    Case("store is a file", lambda at: train(at, f"store={file(at)}"), says=IN_THE_WAY),
    Case("store below a file", lambda at: train(at, f"store={file(at)}/a"), says=IN_THE_WAY),
    Case(
        "name of run_dir too long",
        lambda at: evaluate(at, f"run_dir={at.folder}/{LONG}"),
        says=("nnn...", "too long", "255 bytes", "run_dir="),
    ),
    Case(
        "name of the store too long",
        lambda at: train(at, f"store={at.folder}/{LONG}"),
        says=("nnn...", "too long", "255 bytes", "store="),
    ),
    Case("name that is not UTF-8", undecodable, says=("run_dir=", "caf\\udce9", "not UTF-8", "rename")),
    Case(
        "too little room for a training",
        nearly_full,
        says=("no space left on the disk", "0.005 MB are free", "weights and checkpoints of classifier cnn"),
    ),
    Case("[markup] in a path", markup, right=True),
)


@cases(*CASES)
def test_disk(case: Case, at: At) -> None:
    case.settle(at)
