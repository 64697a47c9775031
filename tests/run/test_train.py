"""Training by config: skipped when done, taken up when cut off, named by an evaluation that misses it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from counterfoil.core.errors import UserError
from counterfoil.run.config import RunConfig
from counterfoil.run.models import Models, needed_for_evaluation, needed_for_training
from counterfoil.run.train import train_all

CLASSIFIER = ("classifier=cnn", "classifier.training.epochs=3", "classifier.training.flip=true")
VAE = ("generative=vae", "generative.training.epochs=3")


def elsewhere(bench: Any, folder: Path) -> Any:
    """The same bench with an empty store."""
    return replace(bench, store=folder)


def test_model_is_kept_with_its_manifest_and_nothing_else(bench: Any, tmp_path: Path) -> None:
    files = elsewhere(bench, tmp_path / "store").train(tmp_path / "run", *CLASSIFIER)
    assert sorted(p.name for p in (tmp_path / "store").iterdir()) == sorted(
        (files[0].name, files[0].with_suffix(".json").name)
    )
    assert files[0].name.startswith("digits-classifier-cnn-")
    manifest = json.loads(files[0].with_suffix(".json").read_text())
    assert manifest["node"]["training"]["epochs"] == 3
    assert 0 <= manifest["test"]["accuracy"] <= 1
    assert manifest["data"]["limit"] == 150


def test_trained_model_is_not_trained_again(
    bench: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = elsewhere(bench, tmp_path / "store")
    (file,) = here.train(tmp_path / "run", *CLASSIFIER)
    written, content = file.stat().st_mtime_ns, file.read_bytes()
    caplog.set_level("INFO", "counterfoil")
    assert here.train(tmp_path / "again", *CLASSIFIER) == [file]
    assert file.stat().st_mtime_ns == written
    assert "already trained" in caplog.text
    assert here.train(tmp_path / "overwrite", *CLASSIFIER, "overwrite=true") == [file]
    assert file.stat().st_mtime_ns > written
    assert file.read_bytes() == content, "one seed gave two models"


def test_address_follows_what_makes_a_model_and_nothing_else(bench: Any) -> None:
    def address(*overrides: str) -> str:
        config = RunConfig.of(bench.compose("evaluate", "store=models", *overrides)[0])
        models = Models.of(config)
        return models.store.address(config.explained, models.data).name

    same = (
        "run_dir=x",
        "n=3",
        "confidence=0.7",
        "data.batch_size=7",
        "trainer.log_every_n_steps=5",
        "classifier.layers=[pool]",
    )
    other = (
        "seed=1",
        "classifier.net.width=9",
        "classifier.training.lr=1e-4",
        "data.limit=20",
        "data.seed=1",
        "classifier.mean=0.4",
    )
    assert {address(option) for option in same} == {address()}
    assert len({address(), *(address(option) for option in other)}) == 1 + len(other)


def test_a_training_cut_short_never_stands_for_the_whole_one(bench: Any, tmp_path: Path) -> None:
    """And callbacks of the user's come beside ours."""
    here = elsewhere(bench, tmp_path / "store")
    stops = "{_target_: pytorch_lightning.callbacks.Timer, duration: {seconds: 0}}"
    one = ("classifier=cnn", "classifier.training.epochs=2")
    (timed,) = here.train(tmp_path / "run", *one, f"+trainer.callbacks=[{stops}]")
    (limited,) = here.train(tmp_path / "run", *one, "+trainer.limit_train_batches=1")
    (whole,) = here.train(tmp_path / "run", *one)
    assert len({timed, limited, whole}) == 3
    noted = [json.loads(file.with_suffix(".json").read_text())["trainer"] for file in (timed, limited, whole)]
    assert [list(each) for each in noted] == [["callbacks"], ["limit_train_batches"], []]
    first, second = load_file(str(timed)), load_file(str(whole))
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert here.train(tmp_path / "run", *one, "+trainer.limit_train_batches=1") == [limited]


@pytest.mark.parametrize("model", [CLASSIFIER, VAE])
def test_interrupted_training_ends_in_the_same_weights(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: tuple[str, ...]
) -> None:
    from counterfoil.util.training import Training

    (whole,) = elsewhere(bench, tmp_path / "whole").train(tmp_path / "run", *model)
    here = elsewhere(bench, tmp_path / "store")

    def dies(self: Training) -> None:
        if self.current_epoch == 2:
            raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(Training, "on_train_epoch_start", dies)
        with pytest.raises(RuntimeError, match="power cut"):
            here.train(tmp_path / "run", *model)
    assert not list((tmp_path / "store").glob("*.safetensors"))
    epochs: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(Training, "on_train_epoch_start", lambda self: epochs.append(self.current_epoch))
        (resumed,) = here.train(tmp_path / "run", *model)
    assert epochs == [2], "it started again instead of going on"
    assert resumed.name == whole.name
    first, second = load_file(str(whole)), load_file(str(resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    tested = [json.loads(file.with_suffix(".json").read_text())["test"] for file in (whole, resumed)]
    assert tested[0] == tested[1]


@pytest.mark.parametrize(
    ("key", "group"),
    [("classifier", "classifier"), ("judge", "classifier@judge"), ("generative", "generative")],
)
def test_diverged_training_is_refused_and_not_kept(bench: Any, tmp_path: Path, key: str, group: str) -> None:
    """Neither weights nor a state from which the same command would go on."""
    here = elsewhere(bench, tmp_path / "store")
    model = "vae" if key == "generative" else "cnn"
    with pytest.raises(UserError, match=rf"diverged.*nothing is kept; lower {key}\.training\.lr, now 1e\+30"):
        here.train(
            tmp_path / "run", f"{group}={model}", f"{key}.training.lr=1e30", f"{key}.training.epochs=2"
        )
    assert not list((tmp_path / "store").glob("*"))


def test_a_test_loss_that_is_not_finite_keeps_nothing(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though every weight is finite."""
    from counterfoil.classifier.training import ClassifierTraining

    def overflown(self: ClassifierTraining, _batch: Any, _index: int) -> None:
        self.report("test", {"loss": torch.tensor(torch.nan)}, 1)

    monkeypatch.setattr(ClassifierTraining, "test_step", overflown)
    monkeypatch.setattr(ClassifierTraining, "on_test_epoch_end", lambda self: None)
    with pytest.raises(UserError, match=r"diverged \(cnn/test/loss is nan\)"):
        elsewhere(bench, tmp_path / "store").train(tmp_path / "run", "classifier=cnn")
    assert not list((tmp_path / "store").glob("*"))


def test_nothing_to_train_and_epochs_in_the_wrong_place_are_told(bench: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing to train.*classifier=cnn"):
        bench.train(tmp_path)
    with pytest.raises(UserError, match=r"classifier\.training\.epochs"):
        elsewhere(bench, tmp_path / "store").train(tmp_path, *CLASSIFIER, "+trainer.max_epochs=3")


OPTIONS = (
    "seed=3",
    "data.val_fraction=0.2",
    "classifier@judge=cnn",
    "generative=cvae",
    "+classifier.net.dropout=0.3",
)


def test_missing_models_are_named_by_commands_that_make_them(bench: Any, tmp_path: Path) -> None:
    store = tmp_path / "a store"
    here = elsewhere(bench, store)
    with pytest.raises(UserError) as error:
        here.evaluate(tmp_path / "run", *OPTIONS, "explainer=[revise]", "metric=[im1]", f"store='{store}'")
    commands = str(error.value).split("run: ")[1].split("   (")[0].split(" && ")
    assert len(commands) == 4
    made = set()
    for command in commands:
        words = shlex.split(command)
        assert words[:2] == ["python", "train.py"]
        trained = RunConfig.of(here.compose("train", *words[2:])[0])
        assert trained.store == store
        models = Models.of(trained)
        made |= {
            models.store.address(wanted, models.data) for wanted in needed_for_training(trained).values()
        }
    config = RunConfig.of(
        here.compose(
            "evaluate",
            *here.models,
            *here.quick[:2],
            *OPTIONS,
            "explainer=[revise]",
            "metric=[im1]",
            f"store='{store}'",
        )[0]
    )
    models = Models.of(config)
    needed = needed_for_evaluation(config).values()
    assert made == {models.store.address(wanted, models.data) for wanted in needed}
    assert not store.exists() or not list(store.glob("*.safetensors"))


def test_train_missing_trains_and_evaluates(bench: Any, tmp_path: Path) -> None:
    here = elsewhere(bench, tmp_path / "store")
    summary = here.evaluate(
        tmp_path / "run", "train_missing=true", "explainer=[nearest]", "metric=[validity,judge_agreement]"
    )
    assert set(summary["methods"]) == {"nearest"}
    assert sorted(path.name.split("-")[2] for path in (tmp_path / "store").glob("*.safetensors")) == [
        "cnn",
        "resnet",
    ]


def test_a_training_leaves_the_models_it_was_lent_as_they_were_read(bench: Any, tmp_path: Path) -> None:
    """A map is trained around a VAE that searches of the same run share: its layout rounds."""
    c3lt = "explainer.c3lt.generator"
    small = (
        *bench.models,
        "explainer=[c3lt]",
        f"{c3lt}.training.epochs=1",
        f"{c3lt}.net.generator=${{generative}}",
    )
    config = RunConfig.of(bench.compose("evaluate", f"store={tmp_path}", *small)[0])
    models = Models.of(config)
    models.data.setup()
    train_all(config.models("classifier", "explainer"), models, config.trainer, [], {})
    vae = models.share(config.models("generative")["generative"])
    assert all(weight.is_contiguous() for weight in vae.parameters())
