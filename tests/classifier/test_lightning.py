"""LightningModules by checkpoint and class: as right as they are, nothing unpickled, or refused in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from counterfoil.classifier.lightning import Lightning, arguments
from counterfoil.core.errors import UserError
from counterfoil.data.digits import Digits
from tests.bench import Bench

NAMES = tuple("0123456789")


class Lit(pytorch_lightning.LightningModule):
    """A classifier of digits with a hyperparameter, and what no counterfactual needs."""

    def __init__(self, width: int, classes: int, loss: nn.Module | None = None, lr: float = 1e-2) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.BatchNorm1d(width), nn.ReLU())
        self.head = nn.Linear(width, classes)
        self.loss = loss or nn.CrossEntropyLoss()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x))
        return logits

    def training_step(self, batch: Any, _index: int) -> Tensor:
        found: Tensor = self.loss(self(batch[0]), batch[1])
        return found

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), self.hparams.lr)


class OneArgument(Lit):
    """Takes all hyperparameters as one."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings.width, settings["classes"])


def fitted(module: Lit, path: Path, data: Digits | None = None, epochs: int = 1) -> Lit:
    """Train as Lightning does, and keep its checkpoint."""
    x, y, _ = (data or Digits(limit=20)).train[:]
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    trainer = pytorch_lightning.Trainer(
        max_epochs=epochs, logger=False, accelerator="cpu", default_root_dir=str(path.parent), **quiet
    )
    trainer.fit(module, DataLoader(TensorDataset((x - 0.5) / 0.5, y), 20))
    trainer.save_checkpoint(path)
    return module.eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lit]:
    """A checkpoint of Lightning after a moment of training on the shipped digits."""
    path = tmp_path_factory.mktemp("lightning") / "epoch.ckpt"
    torch.manual_seed(0)
    return path, fitted(Lit(24, 10), path, Digits(limit=1500), epochs=3)


def named(made: type) -> str:
    return f"{made.__module__}.{made.__qualname__}"


def test_a_checkpoint_is_explained_by_overrides_alone(
    saved: tuple[Path, Lit], own_models: Bench, tmp_path: Path
) -> None:
    """With the accuracy that the module has, far from chance."""
    path, module = saved
    x, y, _ = Digits(limit=150).test[:]
    with torch.no_grad():
        right = float((module((x - 0.5) / 0.5).argmax(1) == y).float().mean())
    assert right > 0.6
    summary = own_models.evaluate(
        tmp_path / "run", "classifier=lightning", f"classifier.path={path}", "classifier.mean=0.5",
        f"classifier.net.module={named(Lit)}", "classifier.std=0.5", "n=6", "confidence=0.5",
        "explainer=[wachter,nearest]", "explainer.wachter.steps=40", "metric=[validity]",
    )  # fmt: skip
    assert summary["queries"]["classifier_accuracy"] == pytest.approx(right, abs=1e-6)
    assert summary["methods"]["nearest"]["validity"]["value"] == 1
    assert summary["methods"]["wachter"]["validity"]["value"] > 0.5


def test_hyperparameters_are_the_checkpoints(saved: tuple[Path, Lit]) -> None:
    read = Lightning(saved[0], 1, 28, NAMES, named(Lit))
    assert read.net.hparams == {"width": 24, "classes": 10, "loss": None, "lr": 1e-2}
    assert not read.net.training
    x = torch.rand(3, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(read(x), saved[1](x))


def test_arguments_come_from_data_then_checkpoint_then_options() -> None:
    offered = {"channels": 1, "size": 28, "classes": 10}
    content = {"hyper_parameters": {"width": 3, "_instantiator": "x", "strange": 1}, "hparams_name": "kwargs"}
    assert arguments(Lit, content, offered, {}) == {"classes": 10, "width": 3}
    assert arguments(Lit, content, offered, {"width": 5}) == {"classes": 10, "width": 5}
    assert arguments(Lit, {}, offered, {"lr": 1.0}) == {"classes": 10, "lr": 1.0}
    content = {"hyper_parameters": {"width": 3, "classes": 2}, "hparams_name": "settings"}
    assert OneArgument(**arguments(OneArgument, content, offered, {})).head.weight.shape == (2, 3)


class Planted:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return open, (str(self.trace), "w")


def refused(path: Path | str, told: str, module: Any = Lit, **options: Any) -> None:
    with pytest.raises(UserError) as caught:
        Lightning(path, 1, 28, NAMES, module if isinstance(module, str) else named(module), options=options)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_needs_its_pickle_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="nn.Module"):
        module = Lit(4, 10, nn.MultiMarginLoss())
    fitted(module, tmp_path / "a.ckpt")
    refused(
        tmp_path / "a.ckpt",
        "needs its pickle, as it holds a torch.nn.modules.loss.MultiMarginLoss, and nothing is unpickled; "
        "save it again as torch.save({'state_dict': module.state_dict()",
    )
    content = {"state_dict": module.state_dict(), "hyper_parameters": {"x": Planted(tmp_path / "trace")}}
    torch.save(content, tmp_path / "b.ckpt")
    refused(tmp_path / "b.ckpt", "needs its pickle, as it holds a ")
    assert not (tmp_path / "trace").exists()
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": {"width": 4}}, tmp_path / "c.ckpt")
    assert Lightning(tmp_path / "c.ckpt", 1, 28, NAMES, named(Lit)).net.head.out_features == 10


def test_what_a_hyperparameter_names_is_not_called(saved: tuple[Path, Lit], tmp_path: Path) -> None:
    """A config of what to call, as Hydra has it, is a mapping like any other."""
    named_there = {"_target_": "builtins.open", "file": str(tmp_path / "trace"), "mode": "w"}
    content = {"state_dict": Lit(4, 10).state_dict(), "hyper_parameters": {"width": 4, "lr": named_there}}
    torch.save(content, tmp_path / "a.ckpt")
    assert Lightning(tmp_path / "a.ckpt", 1, 28, NAMES, named(Lit)).net.hparams.lr == named_there
    assert not (tmp_path / "trace").exists()


def test_files_and_classes_that_do_not_fit_are_refused(saved: tuple[Path, Lit], tmp_path: Path) -> None:
    path = saved[0]
    refused(tmp_path / "none.ckpt", "none.ckpt does not exist")
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    refused(tmp_path / "text.ckpt", "text.ckpt")
    torch.save(saved[1].state_dict(), tmp_path / "bare.ckpt")
    refused(tmp_path / "bare.ckpt", "has no state_dict, so it is no checkpoint of Lightning; for weights")
    refused(path, "classifier.net.module=not_there.Net cannot be imported", module="not_there.Net")
    refused(path, "does not fit Sequential", module="torch.nn.Sequential")
    refused(
        path, "module=builtins.dict is no class of a network; expected a LightningM", module="builtins.dict"
    )
    refused(path, "head.weight is (10, 24), expected (7, 24)", classes=7)
    refused(path, "missing a required argument: 'settings'", module=OneArgument)
    with pytest.raises(UserError, match=r"classifier\.net\.module is not set"):
        Lightning(path, 1, 28, NAMES)
