"""Seeds, picture grids and loggers."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from counterfoil.core.errors import UserError
from counterfoil.util.loggers import close, csv_logger, no_logger, wandb_logger
from counterfoil.util.pictures import log_picture, to_grid
from counterfoil.util.seed import seed_all
from counterfoil.util.training import one_cycle


def draws() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002


def test_one_seed_the_same_draws_and_words_tell_models_apart() -> None:
    state = torch.get_rng_state()
    first = (seed_all(3, "classifier", "cnn"), draws())
    assert (seed_all(3, "classifier", "cnn"), draws()) == first
    for other in ((4, "classifier", "cnn"), (3, "classifier", "resnet"), (3,)):
        assert (seed_all(*other), draws())[1] != first[1]
    torch.set_rng_state(state)


def test_grid_is_row_by_row_and_filled_with_black() -> None:
    images = torch.stack([torch.full((1, 2, 3), value) for value in (0.2, 0.4, 0.6)])
    grid = to_grid(images, columns=2)
    assert grid.shape == (4, 6, 3)
    assert grid.dtype == np.uint8
    assert [int(grid[y, x, 0]) for y, x in ((0, 0), (0, 3), (2, 0), (2, 3))] == [51, 102, 153, 0]


def test_grid_keeps_colours_and_cuts_what_is_out_of_range() -> None:
    image = torch.tensor([-1.0, 0.5, 2.0]).view(1, 3, 1, 1)
    assert to_grid(image, 1)[0, 0].tolist() == [0, 128, 255]


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


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    assert one_cycle(0.0) == pytest.approx(0.04)
    assert one_cycle(0.05) == pytest.approx(0.52)
    assert one_cycle(0.1) == pytest.approx(1.0)
    assert one_cycle(0.55) == pytest.approx(0.5, abs=1e-6)
    assert one_cycle(1.0) == pytest.approx(0.0, abs=1e-6)
    assert one_cycle(1.2) == pytest.approx(0.0, abs=1e-6)
