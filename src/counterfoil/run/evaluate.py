"""What evaluate.py does once its config is composed: explain, score, report."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from counterfoil.classifier.check import check
from counterfoil.classifier.trust import check_judge
from counterfoil.core.counterfactuals import Counterfactuals, metadata_of
from counterfoil.core.decision import Attribute, Threshold
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.data.base import ImageData
from counterfoil.data.counterfactuals import asking, read_counterfactuals, read_names
from counterfoil.data.queries import QuerySet, classes_of, differs, read_mask, sample
from counterfoil.data.query_file import read_queries
from counterfoil.explainer.base import Explainer
from counterfoil.metric.network import evaluated_once
from counterfoil.run.config import RunConfig, refuse_unchosen, untyped
from counterfoil.run.folder import claim, same_weights, write_queries
from counterfoil.run.models import (
    Models,
    how_to_do_without,
    missing,
    needed_for_counterfactuals,
    needed_for_evaluation,
    train_command,
)
from counterfoil.run.results import (
    Evaluation,
    about_queries,
    accuracy,
    measurable,
    report,
    score,
    stated,
    to_logger,
)
from counterfoil.run.train import train_all
from counterfoil.util.build import build, locate
from counterfoil.util.cli import config_dirs
from counterfoil.util.digest import digest, file_digest
from counterfoil.util.disk import refuse_full
from counterfoil.util.loggers import Label, close, open_loggers
from counterfoil.util.record import arguments, command_line, read_json, versions, write_json, write_text

log = logging.getLogger("counterfoil")


def evaluate(
    config: DictConfig, run_dir: Path, choices: Mapping[str, str], overrides: Sequence[str]
) -> dict[str, Any]:
    """Run the evaluation of a composed config in `run_dir`; returns the content of metrics.json."""
    started = time.perf_counter()
    run = RunConfig.of(config)
    refuse_unchosen(run, overrides)
    if run.threads:
        torch.set_num_threads(run.threads)
    models = Models.of(run)
    with claim(run_dir, run.identity, run.overwrite) as claimed:
        models.data.setup()
        run = run.measuring(measurable(run, models.data, overrides, _untrained(run, models)))
        _require_models(run, models, choices, overrides)
        label = Label.of(run.composed, run_dir, overrides, "evaluate")
        loggers = open_loggers(run.logger, run_dir, label)
        try:
            needed = needed_for_evaluation(run)
            train_all(needed, models, run.trainer, loggers, command=command_line(), announce=False)
            models.data.query_split = run.split
            evaluation = _prepare(run, models)
            explainers = _explainers(evaluation)
            mask = None if run.mask is None else read_mask(run.mask, models.data.size).to(models.device)
            if claimed.old is None and not (run_dir / "counterfactuals").exists():
                refuse_full(run_dir, _least_size(evaluation), "counterfactuals")
            claimed.begin()
            explaining = needed_for_counterfactuals(run)
            same_weights(run_dir, {path: models.weights_sha256(model) for path, model in explaining.items()})
            write_text(run_dir / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(run.as_dict())))
            _explain(evaluation, explainers, mask, run_dir)
            _tell_failures(evaluation)
            with evaluated_once():
                return _score(evaluation, run_dir, loggers, time.perf_counter() - started)
        finally:
            close(loggers)


def _untrained(run: RunConfig, models: Models) -> list[str]:
    """What metrics do without where it is not trained: the auto-encoders; all other models are needed."""
    if run.autoencoder is None or run.train_missing:
        return []
    return list(missing({"autoencoder": run.autoencoder}, models))


def _require_models(
    run: RunConfig, models: Models, choices: Mapping[str, str], overrides: Sequence[str]
) -> None:
    absent = missing(needed_for_evaluation(run), models)
    if absent and not models.data.labelled:
        first = next(iter(absent))
        raise UserError(
            f"data={models.data.name} has no labels to train {first} on; set {how_to_do_without(first)}"
        )
    if absent and not run.train_missing:
        folders = config_dirs(arguments())
        commands = dict.fromkeys(
            train_command(path, recipe, choices, overrides, folders) for path, recipe in absent.items()
        )
        raise UserError(
            f"{len(absent)} model(s) are not trained yet; run: {' && '.join(commands)}   "
            "(or add train_missing=true)"
        )


def _prepare(run: RunConfig, models: Models) -> Evaluation:
    classifier = models.share(run.explained)
    judge = None if run.judge is None else models.share(run.judge)
    refuse_other_labels(classifier, models.data)
    own = isinstance(classifier.decision, Threshold) and classifier.class_names != models.data.class_names
    labelled = models.data.labelled and not own
    images = models.data.queried
    batch = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:256]]
    batch = batch._replace(x=batch.x.to(models.device, models.dtype), y=batch.y.to(models.device))
    checked = check(
        classifier, batch, len(models.data.class_names), gradients=_needs_gradients(run), labelled=labelled
    )
    made = Evaluation(run, models, classifier, judge, None, {}, checked)
    log.info(f"{run.explained}: {stated(*accuracy(made))}")
    for warning in checked.warnings:
        warnings.warn(warning, CounterfoilWarning, stacklevel=2)
    doubt = "" if judge is None else check_judge(judge, classifier, batch, labelled=labelled)
    if doubt:
        warnings.warn(
            f"{doubt}; its figures are not ranked, choose another classifier@judge=, or judge=null",
            CounterfoilWarning,
            stacklevel=2,
        )
    made.doubt = doubt
    if run.counterfactuals is not None:
        size = (models.data.channels, models.data.size, models.data.size)
        made.stored_names = read_names(run.counterfactuals)
        stored = read_counterfactuals(run.counterfactuals, classifier, size, len(models.data.queried))
        made.counterfactuals = {name: asking(cf, name) for name, cf in stored.items()}
        made.left_out = max(len(cf) - len(made.counterfactuals[name]) for name, cf in stored.items())
    else:
        made.queries = _open_rows(query_set(run, models, classifier), classifier, run)
    return made


def refuse_other_labels(classifier: Any, data: ImageData) -> None:
    """Refuse an attribute of the data that is not what their labels tell: accuracy and metrics read these."""
    decision = classifier.decision
    name = decision.name if isinstance(decision, Attribute) and data.labelled else None
    if name and classifier.class_names != data.class_names and Attribute(name).among(data.attribute_names):
        raise UserError(
            f"classifier.decision.name={name}: the labels of data={data.name} tell "
            f"{', '.join(data.class_names)}; set attribute={name}"
        )


def _open_rows(queries: QuerySet, classifier: Any, run: RunConfig) -> QuerySet:
    """The queries as `corruption=` leaves them; their targets are those of the clean images.

    Without a corruption, rows that ask for what is there already are left out, or they would count as valid.
    """
    if run.corruption is None:
        kept = queries.asking(classifier)
        if kept.left_out:
            warnings.warn(
                f"queries: {kept.left_out} of {len(queries)} rows ask for the class that the classifier "
                "already gives their image, and are left out",
                CounterfoilWarning,
                stacklevel=2,
            )
        return kept
    return queries.corrupt(build(run.corruption, where="corruption"), run.seed)


def _needs_gradients(run: RunConfig) -> bool:
    if run.counterfactuals:
        return False
    classes = [locate(options["_target_"], "explainer") for options in run.explainer.values()]
    return any(getattr(found, "needs_gradients", True) for found in classes)


def _explainers(evaluation: Evaluation) -> dict[str, Explainer]:
    """The methods, built; none where stored counterfactuals are scored."""
    run = evaluation.config
    if run.counterfactuals is not None:
        return {}
    if not run.explainer:
        raise UserError(
            "explainer: none chosen; choose one or several, such as explainer=revise or "
            "explainer=[wachter,revise] or explainer=all"
        )
    return {
        name: build(options, evaluation.models.share, f"explainer.{name}", classifier=evaluation.classifier)
        for name, options in run.explainer.items()
    }


def _least_size(evaluation: Evaluation) -> int:
    """Bytes of the images alone: a factual and a counterfactual per row and method."""
    queries = evaluation.queries
    if queries is None:
        return 0
    return 8 * queries.images[0].numel() * len(queries) * len(evaluation.config.explainer)


def _explain(
    evaluation: Evaluation, explainers: Mapping[str, Explainer], mask: Tensor | None, run_dir: Path
) -> None:
    run, models, queries = evaluation.config, evaluation.models, evaluation.queries
    folder = run_dir / "counterfactuals"
    if queries is None:
        for name, counterfactuals in evaluation.counterfactuals.items():
            file = folder / name / "batch-00000.safetensors"
            counterfactuals.save(file, names=json.dumps(dict(evaluation.names)))
        return
    queries.save(run_dir / "query_set.csv", evaluation.classifier.class_names)
    weights = {path: models.weights_sha256(model) for path, model in needed_for_counterfactuals(run).items()}
    read = [models.data.identity, models.logits_of(run.explained), weights, run.seed, run.dtype]
    for name, explainer in explainers.items():
        explainer.fit(models.data)
        question = digest([read, untyped(run.explainer[name])], 64)
        search = Searching(explainer, queries, models.device, models.dtype, mask, run.reference, question)
        evaluation.counterfactuals[name] = explain_all(search, name, folder / name, run.batch_size)


def _tell_failures(evaluation: Evaluation) -> None:
    for name, cf in evaluation.counterfactuals.items():
        if cf.failures:
            warnings.warn(
                f"explainer {name}: {cf.failures} of {len(cf)} counterfactuals, or the logits on them, are "
                "not finite; they count as failures and show the factual: check its generative model, its "
                "lr, and the classifier",
                CounterfoilWarning,
                stacklevel=2,
            )


def _score(evaluation: Evaluation, run_dir: Path, loggers: Sequence[Any], seconds: float) -> dict[str, Any]:
    scores = score(evaluation)
    summary = {
        "methods": scores.methods,
        "standing": scores.standing,
        "queries": about_queries(evaluation, seconds),
        "config": evaluation.config.as_dict(),
        "versions": versions(),
        "weights": evaluation.models.hashes(needed_for_evaluation(evaluation.config)),
    }
    write_queries(
        run_dir / "queries.csv",
        evaluation.counterfactuals,
        scores.tables,
        evaluation.names,
        evaluation.classifier.class_names,
    )
    summary["files"] = {"queries.csv": file_digest(run_dir / "queries.csv")}
    report(evaluation, summary, scores, run_dir)
    page = run_dir / "report.html"
    for logger in loggers:
        to_logger(logger, summary, evaluation.counterfactuals, scores.tables, evaluation.names, page)
    write_json(run_dir / "metrics.json", summary)
    return read_json(run_dir / "metrics.json", "figures just written")


@dataclass(frozen=True)
class Searching:
    """One method at work on a query set.

    Args:
        explainer: the method.
        queries: the query set.
        device, dtype: of the search.
        mask: pixels (H, W) bool that must stay; None: all may change.
        reference: where queries are corrupted, explain the clean ones as well.
        method: a digest of the method, its options and all weights that it reads.
    """

    explainer: Explainer
    queries: QuerySet
    device: torch.device
    dtype: torch.dtype
    mask: Tensor | None = None
    reference: bool = False
    method: str = ""

    def question(self, x: Tensor, target: Tensor, query: Tensor) -> str:
        """A digest of all that a batch of counterfactuals follows from."""
        told = hashlib.sha256(f"{self.method} {self.reference} {self.mask is None}".encode())
        for part in (x, target, query) if self.mask is None else (x, target, query, self.mask.cpu()):
            told.update(f"{part.dtype} {tuple(part.shape)}".encode())
            told.update(part.contiguous().numpy().data)
        return told.hexdigest()

    def __call__(self, x: Tensor, target: Tensor, query: Tensor) -> Counterfactuals:
        """A batch's counterfactuals on the CPU in float32, numbered by the query set's own indices."""
        found = self._explained(x, target)
        if self.queries.corrupted is not None:
            clean = self.queries.clean[query]
            own = self._explained(clean, target).counterfactual if self.reference else None
            found = replace(found, clean=clean[found.query], reference=own)
        return replace(found, query=query[found.query])

    def _explained(self, x: Tensor, target: Tensor) -> Counterfactuals:
        found: Counterfactuals = self.explainer(
            x.to(self.device, self.dtype), target.to(self.device), mask=self.mask
        )
        return found.map(_single)


def explain_all(search: Searching, name: str, folder: Path, batch_size: int) -> Counterfactuals:
    """The counterfactuals of all rows of a query set, written to `folder` batch by batch.

    A batch that is there and was made of the same question is read instead of computed; `name` stands beside
    the progress bar.
    """
    parts, files = [], set()
    with _progress(name) as progress:
        task = progress.add_task(name, total=len(search.queries))
        for i, batch in enumerate(search.queries.batches(batch_size)):
            file = folder / f"batch-{i:05d}.safetensors"
            files.add(file)
            question = search.question(*batch)
            found = _stored(file, question)
            if found is None:
                search(*batch).save(file, question=question, names=search.queries.names_of(batch[2]))
                found = Counterfactuals.load(file)
            parts.append(found)
            progress.update(task, advance=len(batch[1]))
    for stranger in set(folder.glob("*.safetensors")) - files:
        log.info(f"{stranger} belongs to none of these {len(files)} batches; it is removed")
        stranger.unlink()
    return Counterfactuals.cat(parts)


def _stored(file: Path, question: str) -> Counterfactuals | None:
    """What a file holds that was made of this question; None, with a line, where it must be made anew."""
    if not file.is_file():
        return None
    try:
        if metadata_of(file).get("question") == question:
            return Counterfactuals.load(file)
        why = f"{file} is about other queries, or was made by another method or other weights"
    except UserError as error:
        why = str(error)
    log.info(f"{why}: it is made anew")
    return None


def _single(name: str, value: Tensor) -> Tensor:
    whole = name in ("steps", "seconds") or not value.is_floating_point()
    return value.cpu() if whole else value.cpu().float()


def _progress(name: str) -> Any:
    from rich import progress as rich

    return rich.Progress(
        rich.TextColumn(f"{name:16}", markup=False),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("elapsed"),
        rich.TimeElapsedColumn(),
        rich.TextColumn("left"),
        rich.TimeRemainingColumn(),
    )


def query_set(run: RunConfig, models: Models, classifier: Any) -> QuerySet:
    """The queries to explain: of a file or folder, or a sample.

    A sample is drawn once for its data, classifier, seed, size and target, and read from then on.
    """
    data, target = models.data, str(run.target)
    if run.queries is not None:
        return read_queries(run.queries, data, classifier, target, run.only_correct)
    if run.only_correct:
        return sample(data, classifier, run.n, run.seed, target, only_correct=True)
    logits = [models.logits_of(run.explained), list(classifier.class_names)]
    logits += [] if classifier.order is None else [classifier.order.tolist()]
    split = [] if run.split == "test" else [run.split]
    key = digest([data.identity, logits, run.seed, run.n, run.target, *split])
    frozen = models.store.root / "queries" / f"{data.name}-{key}.csv"
    why = differs(frozen, noted=True) if frozen.is_file() else ""
    if why:
        log.info(f"{frozen}: {why}; its queries are drawn anew")
    if why or not frozen.is_file():
        drawn = sample(data, classifier, run.n, run.seed, target)
        try:
            drawn.save(frozen, classes_of(classifier, data))
        except OSError as error:
            warnings.warn(
                f"{frozen} cannot be written ({error.strerror}); its rows stand in the run's query_set.csv",
                CounterfoilWarning,
                stacklevel=2,
            )
            return drawn
    found = read_queries(frozen, data, classifier, target)
    if len(found.images) < run.n:
        log.info(
            f"n={run.n}: {len(found.images)} images of data={data.name} can be queries with target={target}; "
            "all of them are explained"
        )
    return found
