"""Callbacks by config: they watch the figures of whichever model is trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from counterfoil.core.errors import UserError
from counterfoil.run.config import RunConfig
from counterfoil.run.models import check_options
from counterfoil.run.train import lightning_trainer
from counterfoil.util.callbacks import figure
from tests.bench import ROOT, Bench

ONE = ("classifier=cnn", "classifier.training.epochs=4")
GROUPS = [
    (group, file.stem) for group in ("callbacks", "debug") for file in (ROOT / "conf" / group).glob("*")
]
GROUPS += [("trainer", file.stem) for file in (ROOT / "conf" / "trainer").glob("*.yaml")]


def trained(bench: Bench, folder: Path, *overrides: str) -> Path:
    place = f"run_dir={folder / 'run'}"
    (file,) = replace(bench, store=folder / "store").train(folder / "run", *ONE, place, *overrides)
    return file


def noted(file: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(file.with_suffix(".json").read_text())
    return read


@pytest.mark.parametrize("name", ["train", "evaluate"])
@pytest.mark.parametrize(("group", "choice"), sorted(GROUPS))
def test_every_choice_makes_a_trainer(
    compose: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, group: str, choice: str
) -> None:
    overrides = [f"{group}={choice}", "run_dir=here", "classifier=cnn"]
    if choice in ("gpu", "mps", "ddp"):
        overrides += ["trainer.accelerator=cpu", "trainer.devices=1", "trainer.sync_batchnorm=null"][
            : 3 if choice == "ddp" else 1
        ]
    run = RunConfig.of(compose(name, *overrides)[0])
    check_options(run)
    made = lightning_trainer({**run.trainer, "devices": 1}, 1, tmp_path, [])
    assert made.progress_bar_callback is None or run.trainer.get("enable_progress_bar", True)
    written = yaml.safe_load((ROOT / "conf" / group / f"{choice}.yaml").read_text()) or {}
    if group == "callbacks" and "_target_" in written:
        kind = written["_target_"].rpartition(".")[2]
        assert [type(one).__name__ for one in made.callbacks].count(kind) == 1 + (kind == "ModelCheckpoint")


def test_a_training_that_no_longer_improves_ends_at_another_address(bench: Bench, tmp_path: Path) -> None:
    options = ("callbacks=early_stopping", "callbacks.early_stopping.min_delta=100")
    early = trained(bench, tmp_path, *options, "callbacks.early_stopping.patience=1")
    assert "callbacks" in noted(early)["trainer"]
    assert early != trained(bench, tmp_path, "callbacks=model_summary")


def test_the_best_epochs_are_kept_beside_the_run(bench: Bench, tmp_path: Path) -> None:
    file = trained(bench, tmp_path, "callbacks=model_checkpoint", "callbacks.model_checkpoint.save_top_k=2")
    assert noted(file)["trainer"] == {}, "the model is the same"
    kept = sorted((tmp_path / "run" / "checkpoints" / "cnn").glob("*.ckpt"))
    assert len(kept) == 2
    assert "state_dict" in torch.load(kept[0], weights_only=True)


@pytest.mark.parametrize("callback", ["early_stopping", "model_checkpoint"])
def test_a_figure_that_is_not_measured_is_refused(bench: Bench, tmp_path: Path, callback: str) -> None:
    line = rf"callbacks.{callback}.monitor=beauty is no figure .*; choose of accuracy, ece, loss"
    with pytest.raises(UserError, match=line):
        trained(bench, tmp_path, f"callbacks={callback}", f"callbacks.{callback}.monitor=beauty")


@pytest.mark.parametrize("choice", ["fdr", "limit", "overfit", "profiler"])
def test_debugging_trains_something_else(bench: Bench, tmp_path: Path, choice: str) -> None:
    file = trained(bench, tmp_path, f"debug={choice}", "classifier.training.epochs=2")
    what = {"fdr": "fast_dev_run", "limit": "limit_train_batches", "overfit": "overfit_batches"}
    assert set(noted(file)["trainer"]) >= ({what[choice]} if choice in what else set())
    assert (tmp_path / "run" / "fit-profile.txt").is_file() == (choice == "profiler")


def test_overfitting_sees_the_same_batches_in_every_epoch(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from counterfoil.classifier.training import ClassifierTraining

    seen: list[list[int]] = []
    step = ClassifierTraining.training_step

    def noting(self: ClassifierTraining, batch: Any, index: int) -> Any:
        seen.append(batch.y.tolist())
        return step(self, batch, index)

    monkeypatch.setattr(ClassifierTraining, "training_step", noting)
    trained(bench, tmp_path, "debug=overfit", "classifier.training.epochs=2")
    assert len(seen) == 6
    assert seen[:3] == seen[3:]


def test_names_of_figures() -> None:
    assert figure("loss", "cnn") == "cnn/val/loss"
    assert figure("cnn/train/loss", "cnn") == "cnn/train/loss"
