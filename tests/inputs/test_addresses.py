"""Odd data, trainings and questions: what is another thing has another address."""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf, open_dict
from PIL import Image

from counterfoil.core.errors import UserError
from counterfoil.data.folder import Folder
from counterfoil.data.idx import FILES, Mnist
from counterfoil.data.images import Unlabelled
from counterfoil.run.address import departures
from counterfoil.run.config import RunConfig, refuse_unchosen
from counterfoil.run.evaluate import query_set
from counterfoil.run.models import Models
from tests.inputs.case import At, Case, cases


def idx_set(folder: Path, *, first: int = 0, flip: bool = False) -> Path:
    """40 and 20 images of 2 x 2 pixels with labels in turn; `flip`: the labels are reversed."""
    folder.mkdir()
    for i, name in enumerate(FILES):
        n = 40 if i < 2 else 20
        values = np.arange(first, first + 4 * n).reshape(n, 2, 2) if i % 2 == 0 else np.arange(n) % 10
        values = (9 - values if flip and i % 2 else values).astype(np.uint8)
        head = bytes((0, 0, 8, values.ndim)) + b"".join(size.to_bytes(4, "big") for size in values.shape)
        (folder / name).write_bytes(head + values.tobytes())
    return folder


def pictures(folder: Path, values: tuple[int, ...] = (1, 2, 3), name: str = "{}.png") -> Path:
    """One grey picture a value in each of two classes and both splits."""
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            (folder / part / label).mkdir(parents=True)
            for i, value in enumerate(values):
                Image.new("L", (4, 4), value).save(folder / part / label / name.format(i))
    return folder


def same(one: Any, other: Any) -> bool:
    """Whether two data sets are one."""
    return bool(one.identity == other.identity)


def replaced(at: At) -> bool:
    """A picture that takes another's place, its size and its time of change."""
    folder = pictures(at.folder / "set")
    before, old = Folder(root=folder), folder / "train" / "cat" / "0.png"
    told, times = before.identity, old.stat()
    Image.new("L", (4, 4), 9).save(at.folder / "new.png")
    assert (at.folder / "new.png").stat().st_size == times.st_size
    os.utime(at.folder / "new.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    (at.folder / "new.png").replace(old)
    return bool(Folder(root=folder).identity == told)


def labels_swapped(at: At) -> bool:
    """The two classes of a folder change their names."""
    folder = pictures(at.folder / "set")
    Image.new("L", (4, 4), 77).save(folder / "train" / "cat" / "0.png")
    told = Folder(root=folder).identity
    for part in ("train", "test"):
        for name, other in (("cat", "x"), ("dog", "cat"), ("x", "dog")):
            (folder / part / name).rename(folder / part / other)
    return bool(Folder(root=folder).identity == told)


def questions(at: At, *overrides: str) -> str:
    """The name of the file of frozen queries of an evaluation's config."""
    config = RunConfig.of(
        at.bench.compose("evaluate", "logger=none", *at.bench.models, f"store={at.folder / 'store'}", "n=6",
                         f"classifier.checkpoint={weights(at)}", *overrides)[0]
    )  # fmt: skip
    models = Models.of(config)
    before = set((at.folder / "store" / "queries").glob("*.csv"))
    query_set(config, models, models.share(config.explained))
    new = set((at.folder / "store" / "queries").glob("*.csv")) - before
    return new.pop().name if new else "as before"


def weights(at: At) -> Path:
    """The bench's classifier as a file from elsewhere, without a manifest."""
    (file,) = at.bench.store.glob("digits-classifier-cnn-*.safetensors")
    return Path(shutil.copy(file, at.folder / "net.safetensors"))


def frozen_anew(at: At, *overrides: str) -> bool:
    """Whether the mended classifier gets questions of its own."""
    questions(at)
    return questions(at, *overrides) != "as before"


@cases(
    Case("labels of a folder swapped", labels_swapped, right=False),
    Case("a picture of the same name, size and time", replaced, right=False),
    Case(
        "a folder at another place",
        lambda at: same(Folder(root=pictures(at.folder / "a")), Folder(root=pictures(at.folder / "b"))),
        right=True,
    ),
    Case(
        "a file that is no picture beside them",
        lambda at: same(
            Folder(root=pictures(at.folder / "a")),
            Folder(root=pictures(at.folder / "b") if (at.folder / "Thumbs.db").write_text("x") else None),
        ),
        right=True,
    ),
    Case(
        "two IDX sets of one name",
        lambda at: same(Mnist(root=idx_set(at.folder / "a")), Mnist(root=idx_set(at.folder / "b", first=1))),
        right=False,
    ),
    Case(
        "IDX labels reversed",
        lambda at: same(
            Mnist(root=idx_set(at.folder / "a")), Mnist(root=idx_set(at.folder / "b", flip=True))
        ),
        right=False,
    ),
    Case(
        "one IDX set at two places",
        lambda at: same(Mnist(root=idx_set(at.folder / "a")), Mnist(root=idx_set(at.folder / "b"))),
        right=True,
    ),
    Case(
        "names of files that no terminal shows",
        lambda at: len(
            Unlabelled(root=pictures(at.folder / "a", name="[b]\n{} ü.png") / "test" / "cat").content()
        ),
        right=32,
    ),
)
def test_data(case: Case, at: At) -> None:
    case.settle(at)


@cases(
    Case("one batch", lambda at: departures({"limit_train_batches": 1}), right={"limit_train_batches": 1}),
    Case("all batches", lambda at: departures({"limit_train_batches": 1.0}), right={}),
    Case("fast_dev_run", lambda at: departures({"fast_dev_run": True}), right={"fast_dev_run": True}),
    Case("precision 16", lambda at: departures({"precision": 16}), right={"precision": "16-mixed"}),
    Case("precision 32", lambda at: departures({"precision": 32}), right={}),
    Case("a certain GPU", lambda at: departures({"devices": [1]}), right={}),
    Case(
        "a callback that does not exist",
        lambda at: departures({"callbacks": [{"_target_": "no.such.Callback"}]}),
        says=("trainer.callbacks", "no.such.Callback", "cannot be imported"),
    ),
)
def test_trainings(case: Case, at: At) -> None:
    case.settle(at)


@cases(
    Case("the same again, with other layers and a default spelt out",
         lambda at: frozen_anew(at, "classifier.layers=[pool]", "+classifier.net.dropout=0.1"), right=False),
    Case("the mean mended", lambda at: frozen_anew(at, "classifier.mean=0.1"), right=True),
    Case("the std mended", lambda at: frozen_anew(at, "classifier.std=0.3"), right=True),
)  # fmt: skip
def test_questions(case: Case, at: At) -> None:
    torch.manual_seed(0)
    case.settle(at)


def configured(at: At, *keys: str) -> RunConfig:
    """The default evaluation with options added, as "+key=1" adds them."""
    config = copy.deepcopy(composed(at))
    with open_dict(config):
        for key in keys:
            OmegaConf.update(config, key, 1, force_add=True)
    run = RunConfig.of(config)
    refuse_unchosen(run, [f"+{key}=1" for key in keys])
    departures(run.trainer)
    return run


_COMPOSED: list[DictConfig] = []


def composed(at: At) -> DictConfig:
    """The default config of evaluate.py, composed once."""
    if not _COMPOSED:
        _COMPOSED.append(at.request.getfixturevalue("compose")("evaluate", "logger=none")[0])
    return _COMPOSED[0]


@cases(
    Case("epochs", lambda at: configured(at, "epochs"),
         says=("option epochs is read by nothing", "set classifier.training.epochs=")),
    Case("the trainer's epochs", lambda at: configured(at, "trainer.max_epochs"),
         says=("trainer.max_epochs", "belongs to the model; set classifier.training.epochs=")),
    Case("a model's epochs", lambda at: configured(at, "classifier.epochs"),
         says=("classifier.epochs is no option", "set classifier.training.epochs=; ")),
    Case("a model's learning rate", lambda at: configured(at, "generative.learning_rate"),
         says=("generative.learning_rate is no option", "set generative.training.lr=; ")),
    Case("a model's width", lambda at: configured(at, "judge.width"),
         says=("judge.width is no option", "set judge.net.width=; ")),
    Case("another tool's word", lambda at: configured(at, "gpu"), says=("option gpu", "set device=")),
    Case("a misspelt option", lambda at: configured(at, "confidense"),
         says=("option confidense", "set confidence=")),
    Case("something else", lambda at: configured(at, "wandb_project"), says=("wandb_project", "--cfg job")),
    Case("a method that is not chosen", lambda at: configured(at, "explainer.wachtr.steps"),
         says=("explainer.wachtr.steps is read by nothing", "those chosen: revise")),
    Case("a metric that is not chosen", lambda at: configured(at, "metric.fidd.n"),
         says=("metric.fidd.n is read by nothing", "those chosen: validity")),
    Case("a trainer's argument that there is not", lambda at: configured(at, "trainer.max_step"),
         says=("trainer.max_step is no argument", "did you mean max_steps?")),
    Case("an argument of the trainer", lambda at: bool(configured(at, "trainer.max_steps")), right=True),
    Case("an option of a network's", lambda at: bool(configured(at, "classifier.net.dropout")), right=True),
)  # fmt: skip
def test_options(case: Case, at: At) -> None:
    case.settle(at)


def test_an_option_that_another_one_reads_is_read(at: At) -> None:
    config = copy.deepcopy(composed(at))
    with open_dict(config):
        config.side, config.n = 3, "${side}"
    assert RunConfig.of(config).n == 3


def test_in_a_training_too(at: At) -> None:
    config, _ = at.request.getfixturevalue("compose")("train", "logger=none", "classifier=cnn")
    with pytest.raises(UserError, match=r"generative\.training\.epochs is read .*generative=NAME"):
        refuse_unchosen(RunConfig.of(config), ["+generative.training.epochs=3"])
