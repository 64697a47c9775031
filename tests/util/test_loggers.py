"""Loggers by name, each in the run folder."""

from __future__ import annotations

import json
import struct
import time
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from counterfoil.core.errors import UserError
from counterfoil.util.loggers import Label, close, csv_logger, no_logger, open_loggers, wandb_logger
from counterfoil.util.pictures import log_picture, to_grid
from tests.bench import Bench


def test_csv_logger_keeps_pictures_beside_its_table(tmp_path: Path) -> None:
    logger = csv_logger(str(tmp_path))
    log_picture(logger, "vae/images, samples", to_grid(torch.rand(4, 3, 8, 8), 2), step=7)
    (file,) = (tmp_path / "csv" / "images").iterdir()
    assert file.name == "vae-images--samples-000007.png"
    assert Image.open(file).size == (16, 16)
    logger.log_metrics({"a": 1.0}, step=0)
    close([logger])
    assert "1.0" in (tmp_path / "csv" / "metrics.csv").read_text()


def test_no_logger_is_none(tmp_path: Path) -> None:
    assert no_logger("anywhere") is False
    node = {"_target_": "counterfoil.util.loggers.no_logger"}
    assert open_loggers({"none": node}, tmp_path, Label("run")) == []
    close([])


def test_several_loggers_are_all_open(tmp_path: Path) -> None:
    nodes = {name: {"_target_": f"counterfoil.util.loggers.{name}_logger"} for name in ("csv", "wandb")}
    loggers = open_loggers(nodes, tmp_path, Label("run"))
    assert [type(logger).__name__ for logger in loggers] == ["CSVLogger", "WandbLogger"]


def test_a_label_tells_the_study_and_the_overrides() -> None:
    overrides = ["seed=1", "x=" + "y" * 99]
    label = Label.of({"study": {"name": "mnist"}}, Path("runs/mnist/3"), overrides, "evaluate")
    assert (label.name, label.group) == ("mnist/3", "mnist")
    assert [len(tag) for tag in label.tags] == [6, 64]
    assert Label.of({}, Path("runs/demo"), [], "train") == Label("demo", None, [], "train")


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
    with pytest.raises(UserError, match="choose one of: auto, online, offline, disabled"):
        wandb_logger(str(tmp_path), mode="never")


def test_wandb_offline_run_is_written_and_closed(tmp_path: Path) -> None:
    import wandb

    logger: Any = wandb_logger(str(tmp_path), mode="offline")
    assert "anonymous" not in logger._wandb_init, "W&B warns of an option that it has given up"
    logger.log_metrics({"a": 1.0})
    log_picture(logger, "grid", to_grid(torch.rand(4, 1, 8, 8), 2))
    close([logger])
    assert wandb.run is None
    assert wandb_records(tmp_path)["run"][0].run_id


def test_an_evaluation_is_complete_in_an_offline_run(tmp_path: Path, bench: Bench) -> None:
    given = ("logger=[csv,wandb]", "explainer=[nearest]", "metric=[validity,l1]", "n=3")
    summary = bench.evaluate(tmp_path / "run", *given)
    records = wandb_records(tmp_path)
    (run,) = records["run"]
    assert (run.display_name, run.job_type) == ("run", "evaluate")
    assert "n=3" in run.tags
    assert told_config(records) == summary["config"]
    logged = history(records)
    assert float(logged["nearest/l1"]) == pytest.approx(summary["methods"]["nearest"]["l1"]["value"])
    assert {"leaderboard", "report", "nearest/queries", "nearest/grid"} <= set(logged)
    (table,) = tmp_path.rglob("leaderboard*.table.json")
    cells = json.loads(table.read_text())
    entry = summary["methods"]["nearest"]["l1"]
    row = next(row for row in cells["data"] if row[:2] == ["nearest", "l1"])
    assert dict(zip(cells["columns"][2:6], row[2:6], strict=True)) == pytest.approx(
        {key: entry[key] for key in ("value", "low", "high", "n")}
    )
    (page,) = tmp_path.rglob("media/html/report*")
    assert "Counterfactuals of digits" in page.read_text()
    csv = tmp_path / "run" / "csv"
    assert yaml.safe_load((csv / "hparams.yaml").read_text()) == summary["config"]
    assert f"{entry['value']}" in (csv / "metrics.csv").read_text()
    assert any((csv / "images").iterdir())


def test_a_training_tells_every_logger_its_config_and_its_curve(tmp_path: Path, bench: Bench) -> None:
    given = (
        "classifier=cnn",
        "classifier.seed=5",
        "classifier.training.epochs=1",
        f"store={tmp_path}/models",
    )
    bench.train(tmp_path / "run", "logger=[csv,wandb]", *given)
    records = wandb_records(tmp_path)
    (run,) = records["run"]
    assert (run.display_name, run.job_type) == ("run", "train")
    config = told_config(records)
    assert (config["classifier"]["seed"], config["classifier"]["net"]["width"]) == (5, 8)
    assert {"data", "trainer", "seed", "store", "run_dir"} <= set(config)
    csv = tmp_path / "run" / "csv"
    assert yaml.safe_load((csv / "hparams.yaml").read_text()) == config
    curves = set((csv / "metrics.csv").read_text().splitlines()[0].split(","))
    assert {"cnn/val/loss", "cnn/val/accuracy"} <= curves
    assert curves - {"step"} <= set(history(records))


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="needs pip install tensorboard")
def test_tensorboard_is_told_beside_the_others(tmp_path: Path, bench: Bench) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    given = ("explainer=[nearest]", "metric=[validity,l1]", "n=3")
    summary = bench.evaluate(tmp_path / "run", "logger=[csv,wandb,tensorboard]", *given)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    (l1,) = events.Scalars("nearest/l1")
    assert l1.value == pytest.approx(summary["methods"]["nearest"]["l1"]["value"])
    assert events.Tags()["images"] == ["nearest/grid"]
    assert wandb_records(tmp_path)["exit"]
    assert (tmp_path / "run" / "csv" / "metrics.csv").is_file()


def told_config(records: dict[str, list[Any]]) -> dict[str, Any]:
    """The config of a W&B run, less what W&B notes of itself."""
    (run,) = records["run"]
    updates = [run.config, *records["config"]]
    found = {item.key: json.loads(item.value_json) for each in updates for item in each.update}
    found.pop("_wandb", None)
    return found


def history(records: dict[str, list[Any]]) -> dict[str, str]:
    """What a W&B run logged last under each name."""
    items = [item for record in records["history"] for item in record.item]
    return {item.key or item.nested_key[0]: item.value_json for item in items}


def wandb_records(folder: Path) -> dict[str, list[Any]]:
    """The records of the one offline run below a folder, by kind; W&B's process ends it in its own time."""
    (file,) = folder.rglob("run-*.wandb")
    for _ in range(300):
        found = read_records(file.read_bytes())
        if found["exit"]:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{file} was not ended in 30 s")


def read_records(data: bytes) -> dict[str, list[Any]]:
    """Records by kind: LevelDB's log format around protobufs."""
    from wandb.proto.wandb_internal_pb2 import Record

    place, parts = 7, b""
    found: dict[str, list[Any]] = defaultdict(list)
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        parts += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            record = Record.FromString(parts)
            name = record.WhichOneof("record_type")
            found[name].append(getattr(record, name))
            parts = b""
    return found
