"""What all trainings share."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers.logger import DummyLogger
from torch import Tensor, nn

from counterfoil.util.training import Diverged, StopDiverged, Training, one_cycle


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    assert one_cycle(0.0) == pytest.approx(0.04)
    assert one_cycle(0.05) == pytest.approx(0.52)
    assert one_cycle(0.1) == pytest.approx(1.0)
    assert one_cycle(0.55) == pytest.approx(0.5, abs=1e-6)
    assert one_cycle(1.0) == pytest.approx(0.0, abs=1e-6)
    assert one_cycle(1.2) == pytest.approx(0.0, abs=1e-6)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("measured", "found"),
    [
        ({"cnn/val/loss": NAN}, "cnn/val/loss is nan"),
        ({"cnn/test/loss": INF}, "cnn/test/loss is inf"),
        ({"vae/val/l1": torch.tensor(NAN)}, "vae/val/l1 is nan"),
        ({"attgan/val/loss_adversarial": NAN}, "loss_adversarial is nan"),
        ({"cnn/val/loss": 0.4, "start/val/psnr": INF, "exaggerator/val/rho": NAN}, None),
        ({}, None),
    ],
)
def test_a_measured_loss_that_is_not_finite_ends_a_training(
    measured: dict[str, Any], found: str | None
) -> None:
    watch, module = StopDiverged("classifier cnn", "judge"), SimpleNamespace(net=nn.Linear(2, 2), lr=1e-3)
    if found is None:
        watch.check(module, measured)
        return
    with pytest.raises(Diverged, match=rf"{found}.*nothing is kept; lower judge\.training\.lr, now 0\.001"):
        watch.check(module, measured)


@pytest.mark.parametrize("outputs", [torch.tensor(NAN), {"loss": torch.tensor(NAN)}])
def test_the_last_loss_of_an_epoch_counts(outputs: Any) -> None:
    watch, module = StopDiverged("vae", "generative"), nn.Linear(2, 2)
    trainer = SimpleNamespace(callback_metrics={}, sanity_checking=False)
    for loss, fine in ((outputs, False), (None, True), ({"loss": torch.tensor(1.0)}, True)):
        watch.on_train_batch_end(trainer, module, loss, None, 0)
        if fine:
            watch.on_train_epoch_end(trainer, module)
            continue
        with pytest.raises(Diverged, match=r"train/loss is nan.*lower generative\.training\.lr$"):
            watch.on_train_epoch_end(trainer, module)


def test_what_is_measured_before_the_training_does_not_count() -> None:
    watch, module = StopDiverged("vae", "generative"), nn.Linear(2, 2)
    trainer = SimpleNamespace(callback_metrics={"vae/val/loss": torch.tensor(NAN)}, sanity_checking=True)
    watch.on_validation_end(trainer, module)
    with torch.no_grad():
        module.weight[0, 0] = NAN
    trainer.sanity_checking = False
    trainer.callback_metrics = {}
    with pytest.raises(Diverged, match="NaN or infinite values in weight"):
        watch.on_validation_end(trainer, module)


class Numbered(Training):
    """Reports the number of each step, of every second one under another name too."""

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        """Nothing is learned."""
        number = torch.tensor(float(index))
        self.report("train", {"loss": number}, 1)
        if index % 2:
            self.report("train", {"odd": number}, 1)
        return self.net(batch).sum()  # type: ignore[no-any-return]


class Kept(DummyLogger):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Every point."""
        self.told.append((step, {key: value for key, value in metrics.items() if key != "epoch"}))


def test_the_steps_that_are_logged_and_the_last_are_reported_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[int] = []
    log_dict = Training.log_dict
    monkeypatch.setattr(
        Training, "log_dict", lambda self, *a, **k: (handed.append(self.global_step), log_dict(self, *a, **k))
    )
    logger = Kept()
    trainer = pl.Trainer(
        max_epochs=1,
        log_every_n_steps=3,
        accelerator="cpu",
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Numbered(nn.Linear(1, 1), name="m"), torch.utils.data.DataLoader(torch.ones(8, 1)))
    assert logger.told == [
        (2, {"m/train/loss": 2.0, "m/train/odd": 1.0}),
        (5, {"m/train/loss": 5.0, "m/train/odd": 5.0}),
    ]
    assert {key: float(value) for key, value in trainer.callback_metrics.items()} == {
        "m/train/loss": 7.0,
        "m/train/odd": 7.0,
    }
    assert set(handed) == {2, 5, 7}
