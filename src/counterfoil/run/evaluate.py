"""What evaluate.py does once its config is composed: explain, score, report."""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from counterfoil.classifier.check import Checked
from counterfoil.classifier.check import check as check_classifier
from counterfoil.classifier.trust import check_judge
from counterfoil.core.batches import Batches, Note, regrouped
from counterfoil.core.decision import Attribute, Threshold
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.target import FORMS
from counterfoil.data.base import ImageData
from counterfoil.data.counterfactuals import asking, read_counterfactuals, read_names
from counterfoil.data.queries import QuerySet, classes_of, differs, read_mask, sample
from counterfoil.data.query_file import read_queries
from counterfoil.explainer.base import Explainer
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.run.auditing import audited
from counterfoil.run.config import RunConfig, refuse_unchosen, untyped, used
from counterfoil.run.folder import Claim, claim, in_use, opened, same_weights, write_queries
from counterfoil.run.models import (
    Models,
    how_to_do_without,
    missing,
    needed_for_counterfactuals,
    needed_for_evaluation,
    train_command,
)
from counterfoil.run.ranks import POLL, Helpers, Job, Ranks, device_of, divide, quiet, take_part, threads
from counterfoil.run.results import (
    Evaluation,
    about_queries,
    accuracy,
    measurable,
    report,
    score,
    stated,
    to_logger,
    trained_for,
)
from counterfoil.run.searching import Searching, batch_file, explain_all, progress
from counterfoil.run.train import train_all
from counterfoil.search import InTurn, Precision, lowers
from counterfoil.util.build import build, locate
from counterfoil.util.cli import config_dirs
from counterfoil.util.command import arguments, command_line
from counterfoil.util.digest import digest, file_digest
from counterfoil.util.disk import refuse_full
from counterfoil.util.launched import Rank
from counterfoil.util.lock import named
from counterfoil.util.loggers import Label, close, open_loggers
from counterfoil.util.memory import give_back
from counterfoil.util.record import read_json, versions, write_json, write_text

log = logging.getLogger("counterfoil")


def evaluate(
    config: DictConfig, run_dir: Path, choices: Mapping[str, str], overrides: Sequence[str]
) -> dict[str, Any]:
    """Run the evaluation of a composed config in `run_dir`; returns the content of metrics.json.

    One of several processes that does not lead returns {}.
    """
    started = time.perf_counter()
    run = RunConfig.of(config)
    refuse_unchosen(run, overrides)
    group = divide(os.environ, 1 if run.counterfactuals else run.devices, run.device, _stamped(config))
    if run.queries is None and run.counterfactuals is None and run.target != "all":
        _refuse_idle(run, run.n, group[0])  # a sample has at most n rows: no process starts in vain
    with threads(run.wanted_threads, len(group)) as each:
        work = Work(run, run_dir, choices, overrides, group, each, started)
        if group[0].launcher:
            return take_part(group[0], run_dir, run.identity, work.lead, work.help)
        return work.lead()


def _stamped(config: DictConfig) -> bool:
    """Whether the run folder is called by the time of day."""
    written: Any = OmegaConf.to_container(config, resolve=False)
    return "${now:" in str(written.get("run_dir"))


@dataclass(frozen=True)
class Work:
    """What one process does at an evaluation.

    Args:
        run: the config.
        run_dir: the run folder.
        choices, overrides: of the command.
        group: this process among all, and the helpers that it starts.
        threads: of each.
        started: when, by `time.perf_counter`.
    """

    run: RunConfig
    run_dir: Path
    choices: Mapping[str, str]
    overrides: Sequence[str]
    group: Sequence[Rank]
    threads: int
    started: float

    def lead(self) -> dict[str, Any]:
        """Explain, with all that help, score and report."""
        run, run_dir, overrides = self._placed(0), self.run_dir, self.overrides
        models = Models.of(run)
        with claim(run_dir, run.identity, run.overwrite) as claimed:
            models.data.setup()
            run = run.measuring(measurable(run, models.data, overrides, _untrained(run, models)))
            _require_models(run, models, self.choices, overrides)
            label = Label.of(run.composed, run_dir, overrides, "evaluate")
            loggers = open_loggers(run.logger, run_dir, label)
            try:
                with Helpers(self._helpers(run), self.group[0].size) as helpers:
                    train_all(
                        needed_for_evaluation(run),
                        models,
                        run.trainer,
                        loggers,
                        run.as_dict(),
                        command=command_line(),
                        announce=False,
                    )
                    ranks = Ranks(self.group[0], check=helpers.check)
                    evaluation = self._explained(run, models, claimed, ranks)
                return _score(evaluation, run_dir, loggers, time.perf_counter() - self.started)
            finally:
                close(loggers)

    def _explained(self, run: RunConfig, models: Models, claimed: Claim, ranks: Ranks) -> Evaluation:
        models.data.query_split = run.split
        evaluation = _prepare(run, models)
        if evaluation.queries is not None:
            _refuse_idle(run, len(evaluation.queries), ranks.own)
        explainers = evaluation.explainers = _explainers(evaluation)
        mask = _mask(run, models)
        if claimed.old is None and not (self.run_dir / "counterfactuals").exists():
            refuse_full(self.run_dir, _least_size(evaluation), "counterfactuals")
        claimed.begin()
        explaining = needed_for_counterfactuals(run)
        same_weights(self.run_dir, {path: models.weights_sha256(model) for path, model in explaining.items()})
        write_text(self.run_dir / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(run.as_dict())))
        if ranks.own.size > 1:
            claimed.open(ranks.own.start)
        _explain(evaluation, explainers, mask, self.run_dir, ranks)
        _tell_failures(evaluation)
        return evaluation

    def help(self) -> None:
        """Explain what nobody else does, where another process leads."""
        run = self._placed(0)
        with Helpers(self._helpers(run), self.group[0].size) as helpers, quiet():
            ranks = Ranks(self.group[0], leads=False, check=helpers.check)
            help_out(run, self.run_dir, ranks, self.threads)
            helpers.wait()

    def _placed(self, number: int) -> RunConfig:
        """The run on the device of a rank."""
        return replace(self.run, device=device_of(self.group[number], self.run.device, len(self.group)))

    def _helpers(self, run: RunConfig) -> dict[int, Callable[[], None]]:
        """What the helpers of this process do."""
        return {
            rank.number: partial(
                help_out,
                replace(run, device=self._placed(i).device),
                self.run_dir,
                Ranks(rank, leads=False),
                self.threads,
                named(os.getpid()) if not rank.launcher else "",
            )
            for i, rank in enumerate(self.group[1:], 1)
        }


def help_out(run: RunConfig, run_dir: Path, ranks: Ranks, each: int, leader: str = "") -> None:
    """Explain what nobody else does, once the process that leads lets others in.

    Args:
        run: the config.
        run_dir: the run folder.
        ranks: this process among all.
        each: its threads.
        leader: the process, as locks name it; "": any.
    """
    torch.set_num_threads(each)
    models = Models.of(run)
    models.data.setup()
    while not opened(run_dir, run.identity, leader):
        if not in_use(run_dir, leader):
            return
        time.sleep(POLL)
    models.data.query_split = run.split
    classifier = models.share(run.explained)
    queries = _open_rows(query_set(run, models, classifier), classifier, run)
    evaluation = Evaluation(run, models, classifier, None, queries, {}, Checked([], None, 0))
    searches = _searches(evaluation, _explainers(evaluation), _mask(run, models))
    ranks.share(_jobs(searches, run_dir / "counterfactuals", run.batch_size), lambda _: None)


def _mask(run: RunConfig, models: Models) -> Tensor | None:
    return None if run.mask is None else read_mask(run.mask, models.data.size).to(models.device)


def _refuse_idle(run: RunConfig, queries: int, rank: Rank) -> None:
    """Refuse processes that would have nothing to do at so many queries."""
    batches = -(-queries // run.batch_size) * len(run.explainer)
    if rank.size > max(1, batches):
        started = f"{rank.size} processes of {rank.launcher}" if rank.launcher else f"devices={rank.size}"
        found = f"there are {batches} batches" if batches > 1 else "there is 1 batch"
        few = f"start {batches} or fewer" if batches > 1 else "start 1"
        raise UserError(
            f"{started}: {found} of at most {run.batch_size} queries; {few}, or lower batch_size="
        )


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
    checked = check_classifier(
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
        size = models.data.input_shape
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
    made: dict[str, Explainer] = {
        name: build(options, evaluation.models.share, f"explainer.{name}", classifier=evaluation.classifier)
        for name, options in run.explainer.items()
    }
    if run.refine is not None:
        for explainer in made.values():
            stage = build(run.refine, where="refine")
            own = explainer.refine  # what a method ends with by itself comes first
            explainer.refine = stage if own is None else InTurn(own, stage)
    return made


def _least_size(evaluation: Evaluation) -> int:
    """Bytes of the images alone: a factual and a counterfactual per row and method."""
    queries = evaluation.queries
    if queries is None:
        return 0
    return 8 * queries.images[0].numel() * len(queries) * len(evaluation.config.explainer)


def _explain(
    evaluation: Evaluation,
    explainers: Mapping[str, Explainer],
    mask: Tensor | None,
    run_dir: Path,
    ranks: Ranks,
) -> None:
    run, queries = evaluation.config, evaluation.queries
    folder = run_dir / "counterfactuals"
    if queries is None:
        evaluation.counterfactuals = {
            name: _copied(cf, folder / name, evaluation.names)
            for name, cf in evaluation.counterfactuals.items()
        }
        return
    queries.save(run_dir / "query_set.csv", evaluation.classifier.class_names)
    searches = _searches(evaluation, explainers, mask)
    if ranks.own.size > 1:
        jobs = _jobs(searches, folder, run.batch_size)
        with progress(f"{ranks.own.size} processes") as bar:
            task = bar.add_task("", total=len(jobs))
            ranks.share(jobs, lambda _: bar.update(task, advance=1))
    for name, search in searches.items():
        evaluation.counterfactuals[name] = explain_all(search, name, folder / name, run.batch_size)


def _searches(
    evaluation: Evaluation, explainers: Mapping[str, Explainer], mask: Tensor | None
) -> dict[str, Searching]:
    """Each method, prepared on the data, with the queries and a digest of all that it reads."""
    run, models, queries = evaluation.config, evaluation.models, evaluation.queries
    assert queries is not None
    weights = {path: models.weights_sha256(model) for path, model in needed_for_counterfactuals(run).items()}
    read = [models.data.identity, models.logits_of(run.explained), weights, run.seed, run.dtype]
    precision: Precision = "bf16" if lowers(run.precision, models.device, models.dtype) else "float32"
    if run.precision == "auto":
        log.info(f"precision=auto: {precision}")
    found = {}
    for name, explainer in explainers.items():
        explainer.fit(models.data)
        told = [read, used(untyped(run.explainer[name]))]
        told += [] if run.refine is None else [used(untyped(run.refine))]
        if isinstance(explainer, OptimisedExplainer):
            explainer.search.refill = run.refill or explainer.search.refill
            if precision != "float32":
                explainer.search.precision = precision
                told.append(precision)
        question = digest(told, 64)
        found[name] = Searching(
            explainer, queries, models.device, models.dtype, mask, run.reference, question, run.again
        )
    return found


def _jobs(searches: Mapping[str, Searching], folder: Path, batch_size: int) -> list[Job]:
    """The batch files of all methods, which several ranks share."""
    found = []
    for name, search in searches.items():
        for i, rows in enumerate(torch.arange(len(search.queries)).split(batch_size)):
            file = batch_file(folder / name, i)
            found.append(Job(file, partial(search.stored, file, rows), partial(search.store, file, rows)))
    return found


def _copied(cf: Batches, folder: Path, names: Mapping[int, int | str], rows: int = 256) -> Batches:
    """Counterfactuals from elsewhere as batches of this run, with the names of their images."""
    files, notes = [], []
    for place, part in enumerate(regrouped(cf, rows)):
        files.append(batch_file(folder, place))
        told = {query: names[query] for query in part.query.unique().tolist() if query in names}
        part.save(files[-1], names=json.dumps(told))
        notes.append(Note.of(part))
    return Batches(files, notes=notes)


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
    give_back()
    scores = score(evaluation)
    summary = {
        "methods": scores.methods,
        "standing": scores.standing,
        "queries": about_queries(evaluation, seconds),
        "config": evaluation.config.as_dict(),
        "versions": versions(),
        "weights": evaluation.models.hashes(needed_for_evaluation(evaluation.config)),
        "training_seconds": trained_for(evaluation),
    }
    write_queries(
        run_dir / "queries.csv",
        evaluation.counterfactuals,
        scores.tables,
        evaluation.names,
        evaluation.classifier.class_names,
    )
    summary["files"] = {"queries.csv": file_digest(run_dir / "queries.csv")}
    found = audited(evaluation, scores.judged)
    if found is not None:
        found.save(run_dir)
    report(evaluation, summary, scores, run_dir, found)
    page = run_dir / "report.html"
    for logger in loggers:
        found_by = evaluation.counterfactuals
        domain = evaluation.models.data.domain
        to_logger(logger, summary, found_by, scores.tables, evaluation.names, page, domain)
    write_json(run_dir / "metrics.json", summary)
    return read_json(run_dir / "metrics.json", "figures just written")


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
    found = read_queries(frozen, data, classifier, FORMS[0])  # each row names its own target
    if len(found.images) < run.n:
        log.info(
            f"n={run.n}: {len(found.images)} images of data={data.name} can be queries with target={target}; "
            "all of them are explained"
        )
    return found
