"""Several processes train one model: the one that a single process trains, written once, ended together."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from counterfoil.classifier.training import ClassifierTraining
from counterfoil.core.errors import UserError
from counterfoil.generative.exaggeration.training import ExaggerationTraining
from counterfoil.run import ranks, several
from counterfoil.run.several import beside
from counterfoil.util import signals, together
from tests.bench import Bench
from tests.run.test_ranks import Forking

TWO = ("trainer.devices=2", "trainer.accelerator=cpu")
CNN = ("classifier=cnn", "classifier.training.epochs=2", "classifier.training.flip=true")


class Plain(nn.Sequential):
    """A network without batch statistics: shares of a batch teach what the batch does."""

    def __init__(self, width: int = 8, stages: int = 1) -> None:
        super().__init__(nn.Flatten(), nn.Linear(28 * 28, width), nn.Tanh(), nn.Linear(width, 10))


PLAIN = (
    "classifier=cnn",
    "classifier.net._target_=tests.run.test_several.Plain",
    "classifier.layers=[]",
    "classifier.training.shift=0",
)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other processes have imported all: the real ones take seconds to start."""
    monkeypatch.setattr(ranks, "multiprocessing", Forking)
    monkeypatch.setattr(several, "LAST_WORDS", 30.0)


@pytest.fixture
def listening() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signals.listen()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signals._State.listening = False


def in_store(bench: Bench, folder: Path) -> Bench:
    return replace(bench, store=folder)


def manifest(file: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(file.with_suffix(".json").read_text())
    return read


@pytest.mark.usefixtures("forked")
def test_two_processes_train_what_one_does_at_an_address_of_its_own(bench: Bench, tmp_path: Path) -> None:
    """With shares of one batch, of the same order, whose gradients are averaged."""
    here = in_store(bench, tmp_path / "store")
    (one,) = here.train(tmp_path / "run", *PLAIN)
    (two,) = here.train(tmp_path / "run", *PLAIN, *TWO, "logger=csv")
    assert one != two
    assert manifest(two)["trainer"] == {"devices": 2}
    first, second = load_file(str(one)), load_file(str(two))
    for name in first:
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=1e-4)
    assert manifest(two)["test"] == pytest.approx(manifest(one)["test"], abs=1e-3)
    assert {path.suffix for path in (tmp_path / "store").iterdir()} == {".json", ".safetensors"}
    assert torch.get_num_threads() == 1
    assert together.size() == 1


MODELS = {
    "duq": ("classifier=duq", "classifier.training.epochs=1"),
    "resnet": ("classifier=resnet", "classifier.training.epochs=1"),
    "dep": ("classifier=dep", "classifier.training.epochs=1"),
    "cvae": ("generative=cvae", "generative.training.epochs=1"),
    "vae": ("generative=vae", "generative.training.epochs=1"),
    "autoencoder": ("generative@autoencoder=autoencoder", "autoencoder.training.epochs=1"),
    "attgan": (
        "generative=attgan",
        *(f"generative.training.{option}" for option in ("epochs=1", "batch_size=16")),
    ),
    "exaggerator": (
        "classifier=cnn",
        "generative=exaggerator",
        *(f"generative.net.{option}" for option in ("width=4", "stages=2")),
        *(
            f"generative.training.{option}"
            for option in ("epochs=1", "steps=4", "batch_size=4", "pictures=0")
        ),
        *(
            f"generative.training.{option}"
            for option in ("enough=1", "empty=borrow", "watched=8", "tested=8")
        ),
        "generative.training.stop_when_diverged=false",
    ),
}


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model(bench: Bench, tmp_path: Path, name: str) -> None:
    """Automatic and manual optimisation, parts that a step leaves out, statistics that move by themselves."""
    files = in_store(bench, tmp_path / "store").train(tmp_path / "run", *MODELS[name], *TWO)
    assert manifest(files[-1])["trainer"] == {"devices": 2}
    for file in files:
        assert all(bool(value.isfinite().all()) for value in load_file(str(file)).values())
    assert sorted(path.stem for path in (tmp_path / "store").iterdir()) == sorted(
        stem for file in files for stem in (file.stem, file.stem)
    )


@pytest.mark.usefixtures("forked", "listening")
def test_all_stop_where_one_is_told_to_and_go_on_from_there(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = in_store(bench, tmp_path / "whole").train(tmp_path / "run", *CNN, *TWO)
    here, step = in_store(bench, tmp_path / "store"), ClassifierTraining.training_step
    seen: list[int] = []

    def told(self: ClassifierTraining, batch: Any, index: int) -> Tensor:
        seen.append(index)
        if len(seen) == 3 and together.rank() == 0:
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(ClassifierTraining, "training_step", told)
        with pytest.raises(signals.Stopped) as stopped:
            here.train(tmp_path / "run", *CNN, *TWO)
    assert stopped.value.code == 143
    assert seen == [0, 1, 2]
    assert together.size() == 1
    (again,) = here.train(tmp_path / "run", *CNN, *TWO)
    assert again.read_bytes() == whole.read_bytes()
    assert manifest(again)["test"] == manifest(whole)["test"]


def fails(_self: Any) -> None:
    raise UserError("nothing works here")


def dies(_self: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(
    ("end", "line"),
    [
        (fails, r"rank 1 of 2 \(process \d+\) has failed: nothing works here"),
        (dies, r"rank 1 of 2 \(process \d+\) was ended by SIGKILL; .* the same command goes on"),
    ],
)
def test_a_failure_of_one_ends_all_in_its_line(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Callable[[Any], None], line: str
) -> None:
    def begin(self: ClassifierTraining) -> None:
        if together.rank() == 1 and self.current_epoch == 1:
            end(self)

    monkeypatch.setattr(ClassifierTraining, "on_train_epoch_start", begin)
    with pytest.raises(UserError, match=line):
        in_store(bench, tmp_path / "store").train(tmp_path / "run", *CNN, *TWO)
    assert not list((tmp_path / "store").glob("*.safetensors"))
    assert together.size() == 1
    assert not torch.distributed.is_initialized()


@pytest.mark.usefixtures("forked")
def test_what_diverges_in_one_keeps_nothing(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = ClassifierTraining.training_step

    def broken(self: ClassifierTraining, batch: Any, index: int) -> Tensor:
        return step(self, batch, index) * (torch.nan if together.rank() == 1 else 1)

    monkeypatch.setattr(ClassifierTraining, "training_step", broken)
    with pytest.raises(UserError, match=r"diverged .*nothing is kept"):
        in_store(bench, tmp_path / "store").train(tmp_path / "run", *CNN, *TWO)
    assert not list((tmp_path / "store").glob("*"))


def test_a_batch_that_does_not_divide_is_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"batch_size=15: .* trainer.devices=2; expected a multiple of 2"):
        in_store(bench, tmp_path / "store").train(
            tmp_path / "run", *CNN, *TWO, "classifier.training.batch_size=15"
        )


def test_other_launchers_are_refused(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"torchrun has started 2 processes; .* set trainer.devices=2"):
        in_store(bench, tmp_path / "store").train(tmp_path / "run", *CNN)


def test_one_process_meets_nobody() -> None:
    with beside({"devices": 1}, lambda _: pytest.fail("started")):
        assert together.size() == 1


@pytest.mark.parametrize(
    ("strategy", "looks"),
    [("auto", False), ("ddp", False), ("ddp_find_unused_parameters_true", True)],
)
def test_parts_left_out_are_looked_for_where_there_may_be_some(
    monkeypatch: pytest.MonkeyPatch, strategy: str, looks: bool
) -> None:
    monkeypatch.setattr(together._here, "size", 2)
    module = ClassifierTraining(Plain())
    made = several.options_of({"strategy": strategy, "devices": 2}, module)["strategy"]
    assert made._ddp_kwargs["find_unused_parameters"] == looks
    assert not ExaggerationTraining.leaves_out, "it optimises manually, which tells"


def test_the_command_itself(bench: Bench, script: Any, tmp_path: Path) -> None:
    """With processes that are started as users start them."""
    small = [part for part in bench.models if part.startswith(("data.", "classifier."))]
    store = tmp_path / "store"
    code, out, err = script(
        "train", *small, *CNN, *TWO, "logger=csv", f"store={store}", f"run_dir={tmp_path}"
    )
    assert code == 0, err
    assert out.count(".safetensors") == 1
    assert "Traceback" not in err
    assert (tmp_path / "csv" / "metrics.csv").is_file()
