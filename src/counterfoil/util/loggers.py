"""Loggers by name, several at once; each is given the run folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from counterfoil.core.errors import UserError
from counterfoil.util.build import accepted, build

TAG = 64
"""The most characters that W&B takes in a tag."""


@dataclass(frozen=True)
class Label:
    """What a run is called where several are listed.

    Attributes:
        name: of the run.
        group: the study or sweep that it belongs to, or None.
        tags: what sets it apart, such as its overrides.
        kind: "train" or "evaluate".
    """

    name: str
    group: str | None = None
    tags: Sequence[str] = ()
    kind: str = "evaluate"

    @classmethod
    def of(cls, config: Mapping[str, Any], run_dir: Path, overrides: Sequence[str], kind: str) -> Label:
        """The label of a composed config's run."""
        group = (config.get("study") or {}).get("name")
        name = f"{group}/{run_dir.name}" if group else run_dir.name
        return cls(name, group, [part[:TAG] for part in overrides if part], kind)


def open_loggers(nodes: Mapping[str, Any], save_dir: Path, label: Label) -> list[Any]:
    """The loggers that a config names, each given the run folder; `Label` tells W&B what to call the run."""
    made = []
    for name, node in nodes.items():
        found = accepted(node["_target_"], {"label": label}, f"logger.{name}")
        made.append(build(node, where=f"logger.{name}", save_dir=str(save_dir), **found))
    return [logger for logger in made if logger]


def wandb_logger(
    save_dir: str,
    project: str = "counterfoil",
    mode: str = "auto",
    name: str | None = None,
    group: str | None = None,
    tags: Sequence[str] | None = None,
    label: Label | None = None,
    **options: Any,
) -> Any:
    """A quiet W&B logger; `mode` auto is online where a key is set and offline elsewhere."""
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    if mode not in ("auto", "online", "offline", "disabled"):
        raise UserError(
            f"logger.wandb.mode={mode} is not supported; choose one of: auto, online, offline, disabled"
        )
    mode = (
        os.environ.get("WANDB_MODE", "online" if os.environ.get("WANDB_API_KEY") else "offline")
        if mode == "auto"
        else mode
    )
    settings = wandb.Settings(
        silent=True,
        console="off",
        x_disable_stats=True,
        disable_git=True,
        disable_code=True,
        x_disable_meta=True,
        mode=mode,  # type: ignore[arg-type]
    )
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    label = label or Label(Path(save_dir).name)
    logger = WandbLogger(
        name=name or label.name,
        project=project,
        save_dir=save_dir,
        offline=mode != "online",
        settings=settings,
        group=group or label.group,
        tags=list(label.tags if tags is None else tags),
        job_type=label.kind,
        **options,
    )
    logger._wandb_init.pop("anonymous", None)  # W&B warns of this option of Lightning's, though it is None
    return logger


def csv_logger(save_dir: str) -> Any:
    """Metrics as `metrics.csv`, pictures as PNG files beside it."""
    from pytorch_lightning.loggers import CSVLogger

    return CSVLogger(save_dir=save_dir, name="csv", version="")


def tensorboard_logger(save_dir: str) -> Any:
    """TensorBoard events; an optional package."""
    from pytorch_lightning.loggers import TensorBoardLogger

    if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
        raise UserError(
            "logger=tensorboard needs the package tensorboard: pip install tensorboard, or choose logger=csv"
        )
    return TensorBoardLogger(save_dir=save_dir, name="tensorboard", version="")


def no_logger(save_dir: str) -> Any:
    """Nothing is logged."""
    return False


def close(loggers: Iterable[Any]) -> None:
    """End the run in each logger, so that a multirun has one closed run per job."""
    for logger in loggers:
        if is_wandb(logger):
            import wandb

            wandb.finish()
        else:
            logger.finalize("success")


def is_wandb(logger: Any) -> bool:
    """Whether a logger is W&B's, which is not imported for the question."""
    return type(logger).__name__ == "WandbLogger"
