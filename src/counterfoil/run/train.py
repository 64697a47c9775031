"""What train.py does: trains the models of a config that are missing, and resumes what was cut off."""

from __future__ import annotations

import inspect
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from counterfoil.core.bounds import open_ended, parameters
from counterfoil.core.errors import UserError
from counterfoil.run.config import DataRecipe, ModelRecipe, RunConfig, refuse_unchosen
from counterfoil.run.devices import devices_in, refuse_absent
from counterfoil.run.models import Models, needed_for_training
from counterfoil.run.several import OneModel, Seat, beside, options_of
from counterfoil.run.store import Place, Store, made_by
from counterfoil.util import signals, together
from counterfoil.util.build import build, locate
from counterfoil.util.callbacks import SameBatches
from counterfoil.util.checkpoint import kept
from counterfoil.util.command import command_line
from counterfoil.util.launched import Rank
from counterfoil.util.loggers import Label, close, open_loggers
from counterfoil.util.record import versions
from counterfoil.util.resuming import LAST, SaveWhenAsked, TwoWhole, resume_from
from counterfoil.util.seed import seed_all
from counterfoil.util.training import Diverged, StopDiverged, Training

log = logging.getLogger("counterfoil")


def train(config: DictConfig, run_dir: Path, overrides: Sequence[str] = ()) -> list[Path]:
    """Train every model that the config names; returns their folders."""
    run = RunConfig.of(config)
    refuse_unchosen(run, overrides)
    refuse_absent(run.trainer)
    _refuse_started(os.environ)
    recipes = needed_for_training(run)
    if not recipes:
        raise UserError(
            "nothing to train: choose a model, such as classifier=cnn or generative=vae, or experiment=demo"
        )
    if isinstance(run.threads, int):  # batches of a training are large enough for all
        torch.set_num_threads(run.threads)
    models = Models.of(run)
    if run.overwrite:
        models.store = replace(models.store, older=False)
    if not models.data.labelled:
        raise UserError(
            f"data={models.data.name} has no labels, so nothing can be trained on it; "
            "choose data=folder or another set"
        )
    models.data.setup()
    label = Label.of(run.composed, run_dir, overrides, "train")
    loggers = open_loggers(run.logger, run_dir, label)
    try:
        return train_all(
            recipes,
            models,
            run.trainer,
            loggers,
            run.composed,
            overwrite=run.overwrite,
            command=command_line(),
        )
    finally:
        close(loggers)


def _refuse_started(environment: Mapping[str, str]) -> None:
    """Refuse to be one of several processes of a launcher: each would train the same."""
    rank = Rank.of(environment)
    if rank.together:
        raise UserError(
            f"{rank.launcher} has started {rank.size} processes; a training starts its own: leave "
            f"{rank.launcher} out and set trainer.devices={rank.size}"
        )


def train_all(
    recipes: Mapping[str, ModelRecipe],
    models: Models,
    trainer: Mapping[str, Any],
    loggers: Sequence[Any],
    config: Mapping[str, Any],
    *,
    overwrite: bool = False,
    command: str = "",
    announce: bool = True,
) -> list[Path]:
    """Train each model that has no weights yet, in order; returns the files of weights of all.

    A model that another process trains at the moment is waited for.

    Args:
        recipes: the models by their path in the config, dependencies first.
        models: data and store.
        trainer: options of Lightning's trainer.
        loggers: of Lightning.
        config: of the run, which the loggers are told before a training.
        overwrite: train anew what is trained; the old weights stay until the new ones are whole.
        command: for the manifest.
        announce: say what is trained already, and go on with a training anew that was cut off.
    """
    files: list[Path] = []
    for path, recipe in recipes.items():
        file = models.store.address(recipe, models.data)
        if recipe.checkpoint or file in files:
            continue
        files.append(file)
        place = Place(file)
        place.settle()
        if not overwrite and place.done(go_on=announce):
            if announce:
                again = "train.py ... overwrite=true trains it again"
                log.info(f"{path}: already trained, {file} ({again})")
            continue
        refuse_absent(trainer)
        with place.claimed(str(recipe)):
            if not overwrite and place.done(go_on=announce):
                log.info(f"{path}: {file}, trained by the other process")
                continue
            for logger in loggers:
                logger.log_hyperparams(dict(config))
            manifest = train_one(
                recipe, place, models, trainer, loggers, path=path, overwrite=overwrite, command=command
            )
            models.forget()
        log.info(f"{path}: {file}  {_summary(manifest['test'])}  ({manifest['seconds']:.0f} s)")
    return files


def train_one(
    recipe: ModelRecipe,
    place: Place,
    models: Models,
    trainer_options: Mapping[str, Any],
    loggers: Sequence[Any],
    *,
    path: str,
    overwrite: bool,
    command: str,
) -> dict[str, Any]:
    """Train one model and write weights and manifest; one that was cut off goes on from its checkpoint.

    One that diverges keeps nothing.
    """
    work = place.work
    if overwrite:
        shutil.rmtree(work, ignore_errors=True)
    seed_all(recipe.seed, recipe.role, recipe.name)
    module = training_module(recipe, models)
    _refuse_undivided(module, devices_in(trainer_options), path)
    work.mkdir(parents=True, exist_ok=True)
    place.needs(sum(value.nbytes for value in kept(module.net).values()), recipe)
    fit = partial(_fit_one, recipe=recipe, path=path, work=work, trainer_options=trainer_options)
    helping = partial(_help, fit, recipe, models.store, models.data_recipe, bool(loggers))
    try:
        with beside(trainer_options, helping):
            seconds, tested = fit(module, models, loggers)
    except Diverged:
        shutil.rmtree(work, ignore_errors=True)
        raise
    prefix = f"{recipe.name}/test/"
    measured = {key.removeprefix(prefix): value for key, value in tested[0].items()} if tested else {}
    noted = made_by(recipe, models.data, models.store.seen(models.data)) | {
        "test": measured,
        "seconds": seconds,
        "command": command,
        "versions": versions(),
    }
    return place.keep(kept(module.net), noted)


def _fit_one(
    module: Any,
    models: Models,
    loggers: Sequence[Any],
    *,
    recipe: ModelRecipe,
    path: str,
    work: Path,
    trainer_options: Mapping[str, Any],
) -> tuple[float, list[Any]]:
    """Train a module, as one of several processes where there are several; seconds and test figures."""
    watch = StopDiverged(str(recipe), path)
    options = options_of(trainer_options, module)
    trainer = lightning_trainer(options, module.epochs, work, loggers, _reseeding(recipe), watch, OneModel())
    data = module.prepare(models.data)
    started = time.perf_counter()
    with together.dealing():
        _fit(trainer, module, data, together.shared(lambda: resume_from(work, module)))
        seconds = time.perf_counter() - started
        seed_all(recipe.seed, recipe.role, recipe.name, "test")
        tested = trainer.test(module, datamodule=data, verbose=False)
    watch.check(module, tested[0] if tested else {})
    return seconds, tested


def _help(
    fit: Callable[..., Any], recipe: ModelRecipe, store: Store, data: DataRecipe, logged: bool, seat: Seat
) -> None:
    """What each further process at a training does: the same, with nothing written."""
    from pytorch_lightning.loggers.logger import DummyLogger

    torch.set_num_threads(seat.threads)
    models = Models(store, data)
    models.data.setup()
    seed_all(recipe.seed, recipe.role, recipe.name)
    module = training_module(recipe, models)
    with seat.taken():
        fit(module, models, [DummyLogger()] if logged else [])


def _refuse_undivided(module: Any, number: int, path: str) -> None:
    if module.batch_size % number:
        raise UserError(
            f"{path}.training.batch_size={module.batch_size}: a batch is shared by the {number} processes of "
            f"trainer.devices={number}; expected a multiple of {number}"
        )


def _fit(trainer: Any, module: Any, data: Any, checkpoint: Path | None) -> None:
    """Lightning's fit, in which a signal waits for the end of a step; what ends it early is told apart."""
    try:
        with signals.patient():
            trainer.fit(module, datamodule=data, ckpt_path=None if checkpoint is None else str(checkpoint))
    except signals.Stopped:
        raise
    except SystemExit as end:  # Lightning's own, whose code does not tell which signal it was
        if type(end).__name__ == "SIGTERMException":
            raise signals.Stopped(signal.SIGTERM) from end
        raise KeyboardInterrupt from end
    if trainer.interrupted:
        raise KeyboardInterrupt


def training_module(recipe: ModelRecipe, models: Models) -> Any:
    """The Lightning module that trains an untrained network of this recipe."""
    offered = {"mean": recipe.mean, "std": recipe.std, "name": recipe.name, "data": models.data}
    where = f"{recipe.role}.training"
    maker = locate(recipe.training["_target_"], where)
    known = set(parameters(maker)) | ({"name"} if open_ended(maker) else set())
    if inspect.isclass(maker) and issubclass(maker, Training):
        _refuse_unknown(recipe, known, maker.__name__)
    named = {key: value for key, value in offered.items() if key in known}
    return build(recipe.training, models.share, where, net=models.network(recipe), **named)


def _refuse_unknown(recipe: ModelRecipe, known: set[str], maker: str) -> None:
    role = recipe.role
    for name in recipe.training.keys() - known - {"_target_"}:
        offered = ", ".join(sorted(known - {"self", "net"}))
        raise UserError(
            f"{role}.training.{name} is no option of {maker}, which trains {role}={recipe.name}; "
            f"take it out with ~{role}.training.{name}, or choose the {role} that has it; "
            f"the options here: {offered}"
        )


def _reseeding(recipe: ModelRecipe) -> Any:
    """Seeds every epoch by its number, so that a training that was cut off draws what it would have drawn."""
    from pytorch_lightning.callbacks import LambdaCallback

    return LambdaCallback(
        on_train_epoch_start=lambda trainer, _module: seed_all(
            recipe.seed,
            recipe.role,
            recipe.name,
            str(trainer.current_epoch),
            *([f"rank {together.rank()}"] if together.rank() else []),
        )
    )


def lightning_trainer(
    options: Mapping[str, Any], epochs: int, work: Path, loggers: Sequence[Any], *callbacks: Any
) -> Any:
    """A Lightning trainer that keeps its last epoch in the folder `work`."""
    import logging
    import warnings

    from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar, RichProgressBar

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings(
        "ignore",
        message=".*(LeafSpec|does not have many workers|in eval mode at the start|"
        "exists and is not empty|Grad strides do not match|"
        "resuming from a checkpoint that ended before|estimate number of stepping).*",
    )
    if options.get("max_epochs") is not None:
        raise UserError(
            "trainer.max_epochs: the number of epochs belongs to the model; "
            "set classifier.training.epochs= or generative.training.epochs="
        )
    keep = ModelCheckpoint(
        dirpath=work,
        filename=LAST.removesuffix(".ckpt"),
        save_top_k=1,
        every_n_epochs=1,
        enable_version_counter=False,
    )
    given = {key: value for key, value in options.items() if value is not None}
    own = build(given.pop("callbacks", []), where="trainer.callbacks")
    callbacks = (*callbacks, *(own if isinstance(own, list) else [own]))
    shown = given.get("enable_progress_bar", True)
    callbacks = tuple(one for one in callbacks if shown or not isinstance(one, ProgressBar))
    if shown and not any(isinstance(one, ProgressBar) for one in callbacks):
        callbacks = (RichProgressBar(refresh_rate=5), *callbacks)
    if given.get("overfit_batches"):  # Lightning would put a sampler of single images in place of ours
        batches = given.pop("overfit_batches")
        given |= {"limit_train_batches": batches, "limit_val_batches": batches}
        callbacks = (*callbacks, SameBatches())
    plugins = given.pop("plugins", [])
    try:
        made = build(
            given,
            where="trainer",
            max_epochs=epochs,
            callbacks=[keep, *callbacks, SaveWhenAsked(work / LAST)],
            logger=list(loggers),
            default_root_dir=str(work),
            enable_checkpointing=True,
            plugins=[*plugins, TwoWhole()],
        )
    except UserError:
        raise
    except Exception as error:  # whatever Lightning finds wrong with its own options
        raise UserError(f"trainer: {' '.join(str(error).split())}; set trainer.* to what it takes") from error
    return made


def _summary(measured: Mapping[str, float]) -> str:
    return "  ".join(f"{key} {value:.4g}" for key, value in measured.items())
