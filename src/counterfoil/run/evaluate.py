"""What evaluate.py does once its config is composed: explain, score, report."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from counterfoil.core.counterfactuals import Counterfactuals, metadata_of
from counterfoil.core.decision import Attribute, Threshold
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.target import FORMS
from counterfoil.data.base import ImageData
from counterfoil.data.counterfactuals import asking, read_counterfactuals, read_names
from counterfoil.data.queries import QuerySet, classes_of, differs, read_mask, sample
from counterfoil.data.query_file import read_queries
from counterfoil.explainer.again import Pass, again
from counterfoil.explainer.base import Explainer
from counterfoil.explainer.optimised import OptimisedExplainer
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
)
from counterfoil.run.train import train_all
from counterfoil.search import Precision, lowers
from counterfoil.util.build import build, locate
from counterfoil.util.cli import config_dirs
from counterfoil.util.digest import digest, file_digest
from counterfoil.util.disk import refuse_full
from counterfoil.util.launched import Rank
from counterfoil.util.lock import named
from counterfoil.util.loggers import Label, close, open_loggers
from counterfoil.util.memory import give_back
from counterfoil.util.record import arguments, command_line, read_json, versions, write_json, write_text

log = logging.getLogger("counterfoil")
FEW = 8
"""Files whose further passes wait for one another."""


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
        explainers = _explainers(evaluation)
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
    made: dict[str, Explainer] = {
        name: build(options, evaluation.models.share, f"explainer.{name}", classifier=evaluation.classifier)
        for name, options in run.explainer.items()
    }
    if run.refine is not None:
        for explainer in made.values():
            explainer.refine = build(run.refine, where="refine")
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
        with _progress(f"{ranks.own.size} processes") as progress:
            task = progress.add_task("", total=len(jobs))
            ranks.share(jobs, lambda _: progress.update(task, advance=1))
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
        again: further passes over each counterfactual, see `counterfoil.explainer.again`.
    """

    explainer: Explainer
    queries: QuerySet
    device: torch.device
    dtype: torch.dtype
    mask: Tensor | None = None
    reference: bool = False
    method: str = ""
    again: Sequence[Pass] = ()

    def question(self, x: Tensor, target: Tensor, query: Tensor) -> str:
        """A digest of all that a batch of counterfactuals follows from."""
        told = hashlib.sha256(f"{self.method} {self.reference} {self.mask is None}".encode())
        told.update(" ".join(sorted(set(self.again))).encode())
        for part in (x, target, query) if self.mask is None else (x, target, query, self.mask.cpu()):
            told.update(f"{part.dtype} {tuple(part.shape)}".encode())
            told.update(part.contiguous().numpy().data)
        return told.hexdigest()

    def stored(self, file: Path, rows: Tensor) -> bool:
        """Whether a file holds the counterfactuals of these rows of the query set."""
        return _stored(file, self.question(*self.queries.at(rows))) is not None

    def store(self, file: Path, rows: Tensor) -> None:
        """Explain these rows of the query set, and write the file."""
        batch = self.queries.at(rows)
        names = self.queries.names_of(batch[2])
        self(*batch).save(file, question=self.question(*batch), names=names)

    def store_each(self, jobs: Sequence[tuple[Path, Tensor]]) -> Iterator[tuple[Path, Tensor]]:
        """Explain the rows of several files side by side; yields each pair once the file is written.

        Further passes wait until a few files are through, or they would count as time of the rows at work.
        """
        several = FEW if self.again else max(len(jobs), 1)
        for first in range(0, len(jobs), several):
            found = self._found_each(jobs[first : first + several])
            for whole, (file, rows) in list(found) if self.again else found:
                batch = self.queries.at(rows)
                names = self.queries.names_of(batch[2])
                self._again(whole).save(file, question=self.question(*batch), names=names)
                yield file, rows

    def _found_each(
        self, jobs: Sequence[tuple[Path, Tensor]]
    ) -> Iterator[tuple[Counterfactuals, tuple[Path, Tensor]]]:
        """The counterfactuals of each file, explained side by side, without further passes."""
        own = 1 + (self.reference and self.queries.corrupted is not None)
        found: dict[int, dict[int, Counterfactuals]] = {}
        for number, part in self.explainer.stream(self._batches(jobs), mask=self.mask):
            job, which = divmod(number, own)
            found.setdefault(job, {})[which] = part.map(_single)
            if len(found[job]) == own:
                parts, (_file, rows) = found.pop(job), jobs[job]
                yield self._settled(parts[0], parts.get(1), self.queries.at(rows)[2]), jobs[job]

    def _batches(self, jobs: Sequence[tuple[Path, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        """The queries of each file, and behind them the clean ones where they are explained too."""
        for _file, rows in jobs:
            x, target, query = self.queries.at(rows)
            yield x.to(self.device, self.dtype), target.to(self.device)
            if self.reference and self.queries.corrupted is not None:
                yield self.queries.clean_of(query).to(self.device, self.dtype), target.to(self.device)

    def __call__(self, x: Tensor, target: Tensor, query: Tensor) -> Counterfactuals:
        """A batch's counterfactuals on the CPU in float32, numbered by the query set's own indices."""
        found, own = self._explained(x, target), None
        if self.reference and self.queries.corrupted is not None:
            own = self._explained(self.queries.clean_of(query), target)
        return self._again(self._settled(found, own, query))

    def _settled(
        self, found: Counterfactuals, reference: Counterfactuals | None, query: Tensor
    ) -> Counterfactuals:
        """The same beside the clean images, numbered by the query set's own indices."""
        if self.queries.corrupted is not None:
            clean = self.queries.clean_of(query)[found.query]
            own = None if reference is None else reference.counterfactual
            found = replace(found, clean=clean, reference=own)
        return replace(found, query=query[found.query])

    def _again(self, found: Counterfactuals) -> Counterfactuals:
        """The same with those of the further passes."""
        if not self.again:
            return found

        def place(x: Tensor) -> Tensor:
            return x.to(self.device, self.dtype)

        return again(self.explainer, found, self.again, mask=self.mask, place=place)

    def _explained(self, x: Tensor, target: Tensor) -> Counterfactuals:
        found: Counterfactuals = self.explainer(
            x.to(self.device, self.dtype), target.to(self.device), mask=self.mask
        )
        return found.map(_single)


def explain_all(search: Searching, name: str, folder: Path, batch_size: int) -> Batches:
    """The counterfactuals of all rows of a query set, written to `folder` batch by batch.

    A batch that is there and was made of the same question is read instead of computed; `name` stands beside
    the progress bar. Where the method refills its places, the batches that lack are explained side by side,
    and each is written as soon as its last row is finished.
    """
    notes, files, made = [], [], set()
    with _progress(name) as progress:
        task = progress.add_task(name, total=len(search.queries))
        parts = enumerate(torch.arange(len(search.queries)).split(batch_size))
        jobs = [(batch_file(folder, i), rows) for i, rows in parts]
        if search.explainer.refills:
            lacking = [job for job in jobs if not search.stored(*job)]
            for file, rows in search.store_each(lacking):
                made.add(file)
                progress.update(task, advance=len(rows))
        for file, rows in jobs:
            files.append(file)
            found = _stored(file, search.question(*search.queries.at(rows)))
            if found is None:
                search.store(file, rows)
                found = Counterfactuals.load(file)
            notes.append(Note.of(found))
            progress.update(task, advance=0 if file in made else len(rows))
    for stranger in set(folder.glob("*.safetensors")) - set(files):
        log.info(f"{stranger} belongs to none of these {len(files)} batches; it is removed")
        stranger.unlink()
    return Batches(files, notes=notes)


def batch_file(folder: Path, number: int) -> Path:
    """The file of a method's batch of this number, from 0."""
    return folder / f"batch-{number:05d}.safetensors"


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
    found = read_queries(frozen, data, classifier, FORMS[0])  # each row names its own target
    if len(found.images) < run.n:
        log.info(
            f"n={run.n}: {len(found.images)} images of data={data.name} can be queries with target={target}; "
            "all of them are explained"
        )
    return found
