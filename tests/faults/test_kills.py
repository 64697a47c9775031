"""Runs that are killed or stopped at any moment end, when the command is given again, as if nothing had been.

Kills stand before each change that a run makes on the disk, and at moments of the clock.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.faults import act, child
from tests.faults.conftest import Fault
from tests.faults.fault import share

PLACES = 30
"""Kills are spread over the changes on the disk of a whole run."""


@pytest.fixture(scope="session")
def undisturbed(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], child.Ended]:
    """undisturbed("train") is what a run gives that nobody kills, and how often it changes the disk."""
    folder = tmp_path_factory.mktemp("undisturbed")

    @cache
    def ended(kind: str) -> child.Ended:
        found = child.run(made(kind, folder / kind, bench.store), folder / kind)
        assert found.right
        return found

    return ended


def survived(fault: Fault, kind: str, again: Callable[[], Any], right: Any) -> None:
    """After a kill nothing is refused: the same command ends as if nothing had been."""
    assert fault(kind, again, right) == "survived"


def made(kind: str, folder: Path, store: Path) -> Any:
    """The act of a kind; it changes nothing outside its folder but frozen queries."""
    if kind == "train":
        return act.Train(folder)
    return act.Study(store, folder) if kind == "study" else act.Evaluate(store, folder / "run")


@pytest.mark.parametrize("place", share(list(range(PLACES)), quick=1))
@pytest.mark.parametrize("kind", ["train", "evaluate", "study"])
def test_killed_before_a_change_on_the_disk(
    kind: str,
    place: int,
    bench: Bench,
    undisturbed: Callable[[str], child.Ended],
    fault: Fault,
    tmp_path: Path,
) -> None:
    whole = undisturbed(kind)
    work = made(kind, tmp_path / kind, bench.store)
    at = 1 + place * whole.events // PLACES
    assert child.run(work, tmp_path / kind, kill_at=at).code == -signal.SIGKILL
    again = replace_finished(work)
    survived(fault, f"kill of {kind}", lambda: child.run(again, tmp_path / kind).right, whole.value)


@pytest.mark.parametrize("place", share(list(range(PLACES)), quick=1))
def test_killed_while_it_trains_anew(
    place: int, undisturbed: Callable[[str], child.Ended], fault: Fault, tmp_path: Path
) -> None:
    """At each moment there is a whole model: the old one or the new one."""
    whole = undisturbed("train")
    old = act.Train(tmp_path / "t")
    assert child.run(old, tmp_path / "t").right == whole.value
    (manifest,) = (tmp_path / "t" / "store").glob("*.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"content_sha256": None, "old": True}))
    anew = replace(old, overrides=("overwrite=true",))
    at = 1 + place * (whole.events - 1) // PLACES
    assert child.run(anew, tmp_path / "t", kill_at=at).code == -signal.SIGKILL
    assert len(list((tmp_path / "t" / "store").glob("*.safetensors"))) == 1
    survived(fault, "kill of train, anew", lambda: child.run(old, tmp_path / "t").right, whole.value)


@pytest.mark.parametrize("place", share(list(range(PLACES)), quick=1))
def test_killed_while_it_replaces_a_run(
    place: int, bench: Bench, undisturbed: Callable[[str], child.Ended], fault: Fault, tmp_path: Path
) -> None:
    whole = undisturbed("evaluate")
    run = tmp_path / "e" / "run"
    other = act.Evaluate(bench.store, run, ("confidence=0.6",))
    assert child.run(other, tmp_path / "e").right
    anew = act.Evaluate(bench.store, run, ("overwrite=true",))
    at = 1 + place * whole.events // PLACES
    assert child.run(anew, tmp_path / "e", kill_at=at).code == -signal.SIGKILL
    survived(fault, "kill of evaluate, anew", lambda: child.run(anew, tmp_path / "e").right, whole.value)


@pytest.mark.parametrize("place", share(list(range(10)), quick=1))
@pytest.mark.parametrize("number", share([signal.SIGKILL, signal.SIGTERM], quick=1))
@pytest.mark.parametrize("kind", share(["train", "evaluate"], quick=1))
def test_killed_at_a_moment_of_the_clock(
    kind: str,
    number: int,
    place: int,
    bench: Bench,
    undisturbed: Callable[[str], child.Ended],
    fault: Fault,
    tmp_path: Path,
) -> None:
    whole = undisturbed(kind)
    work = made(kind, tmp_path / kind, bench.store)
    child.run(work, tmp_path / kind, kill_after=0.15 * (1 + place), number=number)
    fault(
        f"kill of {kind}, by the clock",
        lambda: child.run(replace_finished(work), tmp_path).right,
        whole.value,
    )


def replace_finished(work: Any) -> Any:
    """The same act; one that had ended before the signal came is done anew."""
    if isinstance(work, act.Evaluate) and (work.run_dir / "metrics.json").is_file():
        return replace(work, overrides=("overwrite=true",))
    return work


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", share(["train", "evaluate"], quick=1))
def test_a_stopped_script_says_so_with_its_exit_code(
    name: str, number: signal.Signals, bench: Bench, fault: Fault, tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    if name == "train":
        small = (*bench.models_of(act.TRAINED), *act.TRAINED, "classifier.training.epochs=500")
        given, begun = (*small, f"store={folder}", f"run_dir={folder}/run"), "last.ckpt"
    else:
        given = (*bench.models, f"store={bench.store}", *act.EXPLAINED, "n=200", "batch_size=1")
        given, begun = (*given, f"run_dir={folder}/run"), "batch-00001.safetensors"
    script = act.Script(name, folder, given)
    ended = child.run(script, folder, kill_on=begun, number=number)
    line = f"stopped by {number.name}; the same command goes on from here"
    left = (ended.code, script.said.read_text().strip().splitlines()[-1], len(list(folder.rglob(begun))))
    fault("stop of a script", lambda: left, (128 + number, line, 1))


def options(group: str, *several: str) -> tuple[str, ...]:
    return tuple(f"{group}.{option}" for option in several)


SMALL = options("classifier", "net.width=4", "net.stages=2", "training.epochs=2")
TRAININGS = {
    "cnn": ("classifier=cnn", "classifier.training.epochs=2", "classifier.training.flip=true"),
    "duq": ("classifier=duq", *SMALL),
    "dep": ("classifier=dep", *SMALL),
    "vae": ("generative=vae", *options("generative.training", "batch_size=16", "epochs=2")),
    "attgan": (
        "generative=attgan",
        "generative.net.width=4",
        *options("generative.training", "epochs=2", "batch_size=16"),
    ),
    "exaggerator": (
        "classifier=cnn",
        "generative=exaggerator",
        "generative.net.width=8",
        *options("generative.training", "epochs=2", "steps=6", "batch_size=8", "watched=16", "tested=16"),
        *options("generative.training", "enough=1", "empty=borrow", "stop_when_diverged=false"),
    ),
    "prior_start": (
        "generative=prior_start",
        "generative.net.prior.steps=5",
        *options("generative.training", "epochs=2", "steps=6", "inner=3"),
    ),
}


@pytest.mark.parametrize("step", share([2, 3, 5], quick=1))
@pytest.mark.parametrize("name", share(list(TRAININGS), quick=1))
def test_stopped_within_an_epoch(name: str, step: int, fault: Fault, tmp_path: Path) -> None:
    """It is saved between two steps, goes on with the next, and ends in the same weights."""
    whole = child.run(Stopping(tmp_path / "whole", name, 0), tmp_path).right
    stopped = child.run(Stopping(tmp_path / "again", name, step), tmp_path)
    assert stopped.code == 128 + signal.SIGTERM, stopped
    survived(
        fault,
        "stop of train",
        lambda: child.run(Stopping(tmp_path / "again", name, 0), tmp_path).right,
        whole,
    )


class Stopping:
    """A training that gets a signal in a step of its first epoch; gives the steps done and the weights."""

    def __init__(self, folder: Path, name: str, step: int) -> None:
        self.folder, self.name, self.step = folder, name, step

    def __call__(self) -> Any:
        from pytorch_lightning.callbacks import LambdaCallback

        from counterfoil.run import train
        from counterfoil.util import signals
        from counterfoil.util.digest import file_digest
        from tests.bench import MODELS, composed

        signals.listen()
        seen: list[int] = []

        def count(*given: Any) -> None:
            seen.append(given[3])
            if self.step and len(seen) == self.step:
                signal.raise_signal(signal.SIGTERM)

        make = train.lightning_trainer
        train.lightning_trainer = lambda *given: make(
            *given, LambdaCallback(on_train_batch_end=count_of(count))
        )
        small = tuple(
            part for part in MODELS if part.startswith(("data.", "classifier.")) or self.name == "vae"
        )
        files = Bench(self.folder / "store", composed, models=small).train(
            self.folder / "run", *TRAININGS[self.name]
        )
        return [file_digest(file) for file in files]


def count_of(count: Callable[..., None]) -> Callable[..., None]:
    """As Lightning calls it: trainer, module, outputs, batch, index."""
    return lambda trainer, module, outputs, batch, index: count(trainer, module, outputs, index)
