"""What train.py does once its config is composed: trains the models that are missing, resumes what was cut off."""

from __future__ import annotations

import inspect
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from safetensors.torch import save_file
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.run.config import check_options
from counterfoil.run.models import Models, needed_for_training
from counterfoil.run.store import Store, made_by
from counterfoil.util.build import Node, build, locate, plain
from counterfoil.util.digest import file_digest
from counterfoil.util.loggers import close
from counterfoil.util.record import command_line, versions, write_json
from counterfoil.util.seed import seed_all
from counterfoil.util.training import Training

log = logging.getLogger("counterfoil")


def train(config: DictConfig, run_dir: Path) -> list[Path]:
    """Train every model that the config names; returns their folders."""
    node: dict[str, Any] = plain(config)
    check_options(node)
    nodes = needed_for_training(node)
    if not nodes:
        raise UserError(
            "nothing to train: choose a model, such as classifier=cnn or generative=vae, or experiment=demo"
        )
    if node["threads"]:
        torch.set_num_threads(node["threads"])
    models = Models(Store(Path(node["store"]).expanduser()), node["data"])
    if not models.data.labelled:
        raise UserError(
            f"data={models.data.name} has no labels, so nothing can be trained on it; choose data=folder or another set"
        )
    models.data.setup()
    logger = build(node["logger"], where="logger", save_dir=str(run_dir))
    try:
        return train_all(
            nodes, models, node["trainer"], logger, overwrite=node["overwrite"], command=command_line()
        )
    finally:
        close(logger)


def train_all(
    nodes: Sequence[tuple[str, Node]],
    models: Models,
    trainer: Node,
    logger: Any,
    *,
    overwrite: bool = False,
    command: str = "",
    announce: bool = True,
) -> list[Path]:
    """Train each model node that has no weights yet, in order; returns the files of weights of all."""
    files: list[Path] = []
    for path, node in nodes:
        file = models.store.address(node, models.data)
        if node.get("checkpoint") or file in files:
            continue
        files.append(file)
        if file.is_file() and not overwrite:
            if announce:
                log.info(f"{path}: already trained, {file} (train.py ... overwrite=true trains it again)")
            continue
        manifest = train_one(node, file, models, trainer, logger, overwrite=overwrite, command=command)
        log.info(f"{path}: {file}  {_summary(manifest['test'])}  ({manifest['seconds']:.0f} s)")
    return files


def train_one(
    node: Node, file: Path, models: Models, trainer_node: Node, logger: Any, *, overwrite: bool, command: str
) -> dict[str, Any]:
    """Train one model and write its weights and manifest; a training that was cut off goes on from its last epoch."""
    work = file.with_suffix(".partial")
    if overwrite:
        shutil.rmtree(work, ignore_errors=True)
    seed_all(node["seed"], node["role"], node["name"])
    module = _module(node, models)
    work.mkdir(parents=True, exist_ok=True)
    trainer = _trainer(trainer_node, module.epochs, work, logger, _reseeding(node))
    data = module.prepare(models.data)
    last = work / "last.ckpt"
    started = time.perf_counter()
    trainer.fit(module, datamodule=data, ckpt_path=str(last) if last.is_file() else None)
    if trainer.interrupted:
        raise KeyboardInterrupt
    seconds = time.perf_counter() - started
    seed_all(node["seed"], node["role"], node["name"], "test")
    tested = trainer.test(module, datamodule=data, verbose=False)
    measured = (
        {key.removeprefix(f"{node['name']}/test/"): value for key, value in tested[0].items()}
        if tested
        else {}
    )
    _refuse_nan(module.net, node)
    noted = {"test": measured, "seconds": seconds, "command": command}
    return _keep(module.net, file, work, {**made_by(node, models.data), **noted})


def _module(node: Node, models: Models) -> Any:
    offered = {"mean": node.get("mean"), "std": node.get("std"), "name": node["name"], "data": models.data}
    where = f"{node['role']}.training"
    target = node["training"]["_target_"]
    maker = locate(target, where)
    known = _parameters(maker)
    if inspect.isclass(maker) and issubclass(maker, Training):
        _refuse_unknown(node, known, maker.__name__)
    named = {key: value for key, value in offered.items() if key in known}
    return build(node["training"], models.share, where, net=models.network(node), **named)


def _refuse_unknown(node: Node, known: set[str], maker: str) -> None:
    role = node["role"]
    for name in node["training"].keys() - known - {"_target_"}:
        offered = ", ".join(sorted(known - {"self", "net", "options"}))
        raise UserError(
            f"{role}.training.{name} is no option of {maker}, which trains {role}={node['name']}; take it out with "
            f"~{role}.training.{name}, or choose the {role} that has it; the options here: {offered}"
        )


def _parameters(target: Any) -> set[str]:
    """Names that a callable takes; what a class hands on as keywords is what its bases take."""
    makers = (
        [vars(cls)["__init__"] for cls in target.__mro__ if "__init__" in vars(cls)]
        if inspect.isclass(target)
        else [target]
    )
    names: set[str] = set()
    for maker in makers:
        parameters = inspect.signature(maker).parameters
        names |= parameters.keys()
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            return names
    return names | {"name"}


def _reseeding(node: Node) -> Any:
    """Seeds every epoch by its number, so that a training that was cut off draws what it would have drawn."""
    from pytorch_lightning.callbacks import LambdaCallback

    return LambdaCallback(
        on_train_epoch_start=lambda trainer, _module: seed_all(
            node["seed"], node["role"], node["name"], str(trainer.current_epoch)
        )
    )


def _trainer(node: Node, epochs: int, work: Path, logger: Any, *callbacks: Any) -> Any:
    import logging
    import warnings

    from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings(
        "ignore",
        message=".*(LeafSpec|does not have many workers|in eval mode at the start|estimate number of stepping).*",
    )
    if node.get("max_epochs") is not None:
        raise UserError(
            "trainer.max_epochs: the number of epochs belongs to the model; set classifier.training.epochs= or generative.training.epochs="
        )
    keep = ModelCheckpoint(
        dirpath=work, filename="last", save_top_k=1, every_n_epochs=1, enable_version_counter=False
    )
    given = {key: value for key, value in node.items() if value is not None}
    return build(
        given,
        where="trainer",
        max_epochs=epochs,
        callbacks=[keep, RichProgressBar(), *callbacks],
        logger=logger,
        default_root_dir=str(work),
        enable_checkpointing=True,
    )


def _refuse_nan(net: nn.Module, node: Node) -> None:
    broken = [
        name
        for name, value in net.state_dict().items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]
    if broken:
        raise UserError(
            f"{node['role']} {node['name']}: training diverged (NaN in {broken[0]}); lower {node['role']}.training.lr"
        )


def _keep(net: nn.Module, file: Path, work: Path, noted: Mapping[str, Any]) -> dict[str, Any]:
    """Write weights and manifest into the work folder, then move them out: the weights come last and whole."""
    weights = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    save_file(weights, str(work / file.name))
    manifest = {**noted, "sha256": file_digest(work / file.name), "versions": versions()}
    write_json(file.with_suffix(".json"), manifest)
    (work / file.name).replace(file)
    shutil.rmtree(work, ignore_errors=True)
    return manifest


def _summary(measured: Mapping[str, float]) -> str:
    return "  ".join(f"{key} {value:.4g}" for key, value in measured.items())
