"""Scores the counterfactuals of all methods and shows the results: page, strips, table and logger."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterfoil.audit.audit import Audit
from counterfoil.classifier.check import Checked
from counterfoil.classifier.order import listed
from counterfoil.core.batches import Batches, Rows, regrouped
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.domain import IMAGES as PIXELS
from counterfoil.core.domain import Continuous, Domain, Tokens
from counterfoil.core.entry import Entry
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.query import probability_of
from counterfoil.data.base import ImageData
from counterfoil.data.queries import QuerySet
from counterfoil.explainer.base import Explainer
from counterfoil.metric.attribute import declared_metrics
from counterfoil.metric.base import describe
from counterfoil.metric.evaluation import Scored, evaluate_metrics
from counterfoil.metric.network import Borrowed, evaluated_once
from counterfoil.metric.ties import rank
from counterfoil.run.config import MetricRecipe, ModelRecipe, RunConfig, recipes_in
from counterfoil.run.folder import named_rows
from counterfoil.run.judging import trained_accuracy, warn_of_weak_judges
from counterfoil.run.models import Models
from counterfoil.util.build import build, locate
from counterfoil.util.command import command_line
from counterfoil.util.loggers import is_wandb
from counterfoil.util.pictures import log_picture


@dataclass
class Evaluation:
    """What the steps of one evaluation share.

    Attributes:
        config: of the run.
        models: data and networks.
        classifier, judge: networks; there may be no judge.
        queries: None where stored counterfactuals are scored again.
        counterfactuals: by method, in files.
        checked: what was found of the classifier.
        doubt: why the judge's figures are not to be believed, "" where they are.
        stored_names: of the images of stored counterfactuals, by query, where they are noted.
        explainers: the methods, fitted; none where stored counterfactuals are scored.
        left_out: rows of stored counterfactuals that want the class that their image already has.
    """

    config: RunConfig
    models: Models
    classifier: Any
    judge: Any
    queries: QuerySet | None
    counterfactuals: dict[str, Batches]
    checked: Checked
    doubt: str = ""
    stored_names: Mapping[int, int | str] = field(default_factory=dict)
    left_out: int = 0
    explainers: Mapping[str, Explainer] = field(default_factory=dict)

    @cached_property
    def names(self) -> Mapping[int, int | str]:
        """What the image of each query is called: its file's name, or its place in the published order.

        Of stored counterfactuals those alone that note it.
        """
        return self.stored_names if self.queries is None else dict(enumerate(self.queries.names))


IMAGES = ("factual", "counterfactual", "clean", "reference")
"""Fields of `Counterfactuals` that networks may be shown."""


def placed(parts: Iterable[Counterfactuals], models: Models, rows: int = 256) -> Iterator[Counterfactuals]:
    """Batches of so many rows, one after another, on the networks' device and in their type."""

    def place(name: str, value: Tensor) -> Tensor:
        return value.to(models.device, models.dtype if name in IMAGES else value.dtype)

    return (part.map(place) for part in regrouped(parts, rows))


def measurable(
    config: RunConfig, data: ImageData, overrides: Sequence[str], untrained: Collection[str] = ()
) -> list[str]:
    """Names of the metrics that can be taken; one line is printed about those left out.

    Args:
        config: of the run.
        data: what is explained.
        overrides: of the command line.
        untrained: models that have no weights; metrics that refer to them are left out, unless requested.

    Raises:
        UserError: a metric that cannot be taken was requested by name, with metric=.
    """
    why = {name: _lacks(metric, config, data) for name, metric in config.metric.items()}
    barred = {name: reason for name, reason in why.items() if reason}
    requested = any(part.split("=")[0].lstrip("+") == "metric" for part in overrides)
    if barred and requested:
        name, (what, fix) = next(iter(barred.items()))
        raise UserError(f"metric={name} needs {what}; {fix}, or leave it out of metric=")
    if not requested:
        waiting = {name: set(untrained) & config.metric[name].refers for name in why if name not in barred}
        barred |= {name: _untrained(*models) for name, models in waiting.items() if models}
    if barred:
        _tell(barred)
    return [name for name in why if name not in barred]


def _untrained(model: str) -> tuple[str, str]:
    return f"{model}, which is not trained (train_missing=true trains it)", ""


def _lacks(metric: MetricRecipe, config: RunConfig, data: ImageData) -> tuple[str, str] | None:
    """What a metric needs and does not get, and the fix; None where it has all."""
    if "judge" in metric.refers and config.judge is None:
        return "a judge, found judge=null", "choose one, such as classifier@judge=resnet"
    if "autoencoder" in metric.refers and config.autoencoder is None:
        return "auto-encoders, found none", "choose some, such as generative@autoencoder=autoencoder"
    reads = _declared(metric, "reads", Domain)
    if not isinstance(data.domain, reads):
        kind, fix = _OF[reads]
        return f"{kind}, data={data.name} holds {data.domain.name}", fix
    needed = _declared(metric, "explained_again", "")
    if needed and config.counterfactuals is None and needed not in config.again:
        return "a second explanation", f"set again=[{','.join([*config.again, needed])}]"
    if data.labelled:
        return None
    if "data" in metric.refers:
        return f"other images or labels, data={data.name} has the queries alone", "choose data=folder"
    if "autoencoder" in metric.refers and not (config.autoencoder and config.autoencoder.checkpoint):
        return (
            f"auto-encoders of the classes, which data={data.name} cannot train",
            "choose data=folder, or set autoencoder.checkpoint=",
        )
    return None


_OF: dict[type[Domain], tuple[str, str]] = {
    Continuous: ("images", "choose data of images"),
    Tokens: ("texts", "choose data=reviews or data=text_csv"),
}
"""What the inputs that a metric reads are called, and where there are some."""


def _declared(metric: MetricRecipe, fact: str, without: Any) -> Any:
    """What the class of a metric declares."""
    target = metric.options.get("_target_") if isinstance(metric.options, Mapping) else None
    return getattr(locate(target, "metric"), fact, without) if target else without


def _tell(barred: Mapping[str, tuple[str, str]]) -> None:
    reasons = dict.fromkeys(what for what, _ in barred.values())
    told = "; ".join(
        f"{', '.join(name for name, (what, _) in barred.items() if what == reason)}: needs {reason}"
        for reason in reasons
    )
    warnings.warn(f"metrics left out: {told}", CounterfoilWarning, stacklevel=2)


Tables = dict[str, dict[str, Tensor]]
"""method -> metric -> one value a counterfactual (N,)."""


@dataclass(frozen=True)
class Scores:
    """What the metrics say of all methods.

    Attributes:
        methods: method -> metric -> entry.
        standing: metric -> method -> "best" or "tied".
        tables: the value of each counterfactual.
        described: what each metric is, in one line.
        judged: the judge's probability (N,) of the target, by method; {} without a judge.
    """

    methods: dict[str, dict[str, Entry]]
    standing: dict[str, dict[str, str]]
    tables: Tables
    described: dict[str, str]
    judged: dict[str, Tensor]


def score(evaluation: Evaluation) -> Scores:
    """Show all metrics all counterfactuals, and rank the methods by paired differences."""
    config, models = evaluation.config, evaluation.models
    built = _metrics(config, models)
    warn_of_weak_judges(config, models)
    metrics = {key: metric for part in built.values() for key, metric in part.items()}
    judged = [name for name in built if evaluation.doubt and "judge" in config.metric[name].refers]
    doubts = {key: evaluation.doubt for name in judged for key in built[name]}
    told = {
        name: declared_metrics(cf, evaluation.classifier) for name, cf in evaluation.counterfactuals.items()
    }
    judge = None if evaluation.judge is None else Borrowed(evaluation.judge, "report", "judge")
    scored: dict[str, Scored] = {}
    probabilities: dict[str, Tensor] = {}
    for name, cf in evaluation.counterfactuals.items():
        said: list[Tensor] = []
        with evaluated_once():
            seen = _asked(placed(cf, models), judge, said)
            scored[name] = evaluate_metrics({**metrics, **told[name]}, seen, config.seed, doubts)
        probabilities |= {name: torch.cat(said)} if said else {}
    described = {
        name: describe(metric) for part in (metrics, *told.values()) for name, metric in part.items()
    }
    methods = {name: found.summary for name, found in scored.items()}
    standing = rank(scored, evaluation.counterfactuals, config.seed)
    tables = {name: found.table for name, found in scored.items()}
    return Scores(methods, standing, tables, described, probabilities)


def _asked(
    batches: Iterable[Counterfactuals], judge: Borrowed | None, said: list[Tensor]
) -> Iterator[Counterfactuals]:
    """The same batches; the judge's probability (B,) of each target goes to `said`."""
    for batch in batches:
        if judge is not None:
            said.append(probability_of(judge(batch.counterfactual), batch.target).cpu())
        yield batch


def _metrics(config: RunConfig, models: Models) -> dict[str, Mapping[str, Any]]:
    """The metrics of each recipe chosen, which may stand for several, by name."""
    built = {
        name: build(metric.options, models.share, f"metric.{name}") for name, metric in config.metric.items()
    }
    return {name: made if isinstance(made, Mapping) else {name: made} for name, made in built.items()}


def about_queries(evaluation: Evaluation, seconds: float) -> dict[str, Any]:
    """The "queries" part of metrics.json: queries, models, and how good the networks are."""
    config, models, explained = evaluation.config, evaluation.models, evaluation.config.explained
    first = next(iter(evaluation.counterfactuals.values()))
    value, images, split = accuracy(evaluation)
    return {
        "n": int(first.query.unique().numel()),
        "wrong_left_out": evaluation.queries.wrong if evaluation.queries else 0,
        "left_out": evaluation.queries.left_out if evaluation.queries else evaluation.left_out,
        "rows": {name: len(cf) for name, cf in evaluation.counterfactuals.items()},
        "failures": {name: cf.failures for name, cf in evaluation.counterfactuals.items()},
        "target": config.target,
        "confidence": config.confidence,
        "seed": config.seed,
        "data": models.data.name,
        "class_names": list(evaluation.classifier.class_names),
        "classifier": explained.name,
        "classifier_sha256": models.weights_sha256(explained),
        "classifier_accuracy": value,
        "classifier_accuracy_n": images,
        "classifier_accuracy_split": split,
        "judge": config.judge.name if config.judge else None,
        "judge_accuracy": trained_accuracy(config.judge, models) if config.judge else None,
        "judge_doubt": evaluation.doubt,
        "seconds": seconds,
        "command": command_line(),
    }


def trained_for(evaluation: Evaluation) -> dict[str, float | None]:
    """Seconds that the models of each method took to train, without the classifier; None where not noted."""
    config, models = evaluation.config, evaluation.models
    found: dict[str, float | None] = {}
    for name, options in config.explainer.items():
        known: list[ModelRecipe] = []
        for _path, recipe in recipes_in(options):
            if recipe not in (*known, config.classifier, config.explained):
                known.append(recipe)
        noted = [models.store.manifest(recipe, models.data).get("seconds", math.nan) for recipe in known]
        found[name] = float(sum(noted)) if all(map(math.isfinite, noted)) else None
    return found


def accuracy(evaluation: Evaluation) -> tuple[float | None, int, str]:
    """The classifier's accuracy, on how many images, and of which split.

    On all test images, measured after its training, where its outputs are read as they were then; else on a
    sample of the split that is explained.
    """
    recipe, data = evaluation.config.explained, evaluation.models.data
    as_trained = recipe.class_names is None and recipe.output is None and not recipe.multilabel
    trained = trained_accuracy(recipe, evaluation.models) if as_trained else None
    if trained is None:
        return evaluation.checked.accuracy, evaluation.checked.images, evaluation.config.split
    return trained, len(data.test), "test"


def stated(accuracy: float | None, images: int, split: str) -> str:
    """`accuracy 96.88 % on 256 test images`, or that there is none."""
    if accuracy is None:
        return "accuracy unknown, as the data's labels are not its classes"
    return f"accuracy {100 * accuracy:.2f} % on {images:,} {split} images"


def report(
    evaluation: Evaluation,
    summary: dict[str, Any],
    scores: Scores,
    run_dir: Path,
    audit: Audit | None = None,
) -> None:
    """Write report.html, the tables and the pictures of strips, and print the leaderboard."""
    from rich.console import Console

    from counterfoil.report.html import write_report
    from counterfoil.report.leaderboard import leaderboard, run_table
    from counterfoil.report.strip_picture import save_strips
    from counterfoil.report.words import save_texts

    about, names = summary["queries"], evaluation.classifier.class_names
    page = write_report(
        run_dir / "report.html",
        summary,
        evaluation.counterfactuals,
        scores.tables,
        names,
        scores.described,
        title=f"Counterfactuals of {about['data']}",
        command=about["command"],
        judge_probabilities=scores.judged,
        facts=_facts(about),
        names=evaluation.names,
        audit=audit,
        domain=evaluation.models.data.domain,
    )
    save_texts(run_dir / "texts.csv", evaluation.counterfactuals, evaluation.models.data.domain, names)
    save_strips(run_dir / "strips", evaluation.counterfactuals, names)
    console = Console()
    run_table(summary).save(run_dir / "tables" / "leaderboard")
    for table in leaderboard(summary, width=console.width):
        console.print(table)
    told = f"{about['n']} queries, {about['seconds']:.0f} s.  Report: {page}"
    console.print(told, soft_wrap=True, markup=False)


def _facts(about: dict[str, Any]) -> dict[str, Any]:
    """The head of the report."""

    def model(key: str) -> str:
        accuracy = about[f"{key}_accuracy"]
        return about[key] if accuracy is None else f"{about[key]}, test accuracy {100 * accuracy:.2f} %"

    found = stated(*(about[f"classifier_accuracy{part}"] for part in ("", "_n", "_split")))
    left = {"images that it gets wrong": about["wrong_left_out"]}
    left["rows that ask for the class that is there"] = about["left_out"]
    told = [str(about["n"]), *(f"{number} {what} left out" for what, number in left.items() if number)]
    return {
        "Data": about["data"],
        "Classifier": f"{about['classifier']}, {found}",
        "Classes": listed(about["class_names"]),
        "Judge": model("judge") + (f" – not ranked: {about['judge_doubt']}" if about["judge_doubt"] else "")
        if about["judge"]
        else "none",
        "Queries": "; ".join(told),
        "Target": str(about["target"]).replace("_", " "),
        "Confidence": about["confidence"],
        "Seed": about["seed"],
        "Time": f"{about['seconds']:.0f} s",
    }


def to_logger(
    logger: Any,
    summary: dict[str, Any],
    counterfactuals: Mapping[str, Rows],
    tables: Tables,
    names: Mapping[int, int | str],
    page: Path,
    domain: Domain = PIXELS,
) -> None:
    """Send the config, figures and pictures to a logger; to W&B also the tables and the page."""
    from counterfoil.report.grid import overview
    from counterfoil.report.words import rows_of

    logger.log_hyperparams(summary["config"])
    logger.log_metrics(
        {
            f"{m}/{name}": e.value
            for m, entries in summary["methods"].items()
            for name, e in entries.items()
            if e.value is not None
        }
    )
    texts = {name: [*rows_of(cf, domain)] for name, cf in counterfactuals.items()}
    for name, cf in counterfactuals.items():
        if not texts[name]:
            log_picture(logger, f"{name}/grid", overview(cf))
    if is_wandb(logger):
        import wandb

        cells, columns = _leaderboard_rows(summary["methods"])
        logger.log_table("leaderboard", columns=columns, data=cells)
        logger.experiment.log({"report": wandb.Html(page.read_text(encoding="utf-8"), inject=False)})
        for name, table in tables.items():
            heads, rows = named_rows(counterfactuals[name], table, names, summary["queries"]["class_names"])
            if texts[name]:
                heads = [*heads, "factual", "counterfactual"]
                rows = [[*row, *read.plain] for row, read in zip(rows, texts[name], strict=True)]
            logger.log_table(f"{name}/queries", columns=heads, data=rows)


def _leaderboard_rows(methods: Mapping[str, Mapping[str, Entry]]) -> tuple[list[list[Any]], list[str]]:
    """A row per method and metric with its interval, and the heads."""
    facts = ("value", "low", "high", "n", "unit", "higher_is_better")
    rows = [
        [method, metric, *(getattr(entry, fact) for fact in facts)]
        for method, entries in methods.items()
        for metric, entry in entries.items()
    ]
    return rows, ["method", "metric", *facts]
