"""Loggers by name, each in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from counterfoil.core.errors import UserError
from counterfoil.util.loggers import close, csv_logger, no_logger, wandb_logger
from counterfoil.util.pictures import log_picture, to_grid


def test_csv_logger_keeps_pictures_beside_its_table(tmp_path: Path) -> None:
    logger = csv_logger(str(tmp_path))
    log_picture(logger, "vae/images, samples", to_grid(torch.rand(4, 3, 8, 8), 2), step=7)
    (file,) = (tmp_path / "csv" / "images").iterdir()
    assert file.name == "vae-images--samples-000007.png"
    assert Image.open(file).size == (16, 16)
    logger.log_metrics({"a": 1.0}, step=0)
    close(logger)
    assert "1.0" in (tmp_path / "csv" / "metrics.csv").read_text()


def test_no_logger_is_none() -> None:
    assert no_logger("anywhere") is False
    close(False)
    close(None)


@pytest.mark.parametrize(
    ("environment", "offline"),
    [({}, True), ({"WANDB_API_KEY": "x" * 40}, False), ({"WANDB_MODE": "offline"}, True)],
)
def test_wandb_is_online_only_where_a_key_is_set(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    without_wandb_environment: None,
    environment: dict[str, str],
    offline: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    logger = wandb_logger(str(tmp_path / "run"))
    assert logger._offline == offline
    assert logger._experiment is None, "a run was opened before anything was logged"


def test_wandb_mode_is_one_of_four(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="auto, online, offline or disabled"):
        wandb_logger(str(tmp_path), mode="never")


def test_wandb_offline_run_is_written_and_closed(tmp_path: Path) -> None:
    import wandb

    logger: Any = wandb_logger(str(tmp_path), mode="offline")
    logger.log_metrics({"a": 1.0})
    log_picture(logger, "grid", to_grid(torch.rand(4, 1, 8, 8), 2))
    close(logger)
    assert wandb.run is None
    assert list(tmp_path.rglob("run-*.wandb"))
