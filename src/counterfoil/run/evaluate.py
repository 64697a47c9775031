"""What evaluate.py does once its config is composed: explain, score, report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from counterfoil.classifier.check import check
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.decision import Threshold
from counterfoil.core.errors import UserError
from counterfoil.core.query import probability_of
from counterfoil.data.queries import QuerySet, from_csv, from_folder, sample
from counterfoil.metric.attribute import declared_metrics
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.run import needs
from counterfoil.run.explaining import explain_all
from counterfoil.run.folder import claim, same_weights
from counterfoil.run.models import Models, resolve_device
from counterfoil.run.options import check_options
from counterfoil.run.record import command_line, versions, write_json, write_queries, write_text
from counterfoil.run.store import Store, digest
from counterfoil.run.stored import read_answers
from counterfoil.run.training import train_all
from counterfoil.util.build import build, plain
from counterfoil.util.loggers import close
from counterfoil.util.pictures import log_picture

INCIDENTAL = ("run_dir", "logger", "trainer", "threads", "overwrite", "train_missing", "metric")
"""Options that do not change what a run answers."""


@dataclass
class Evaluation:
    """The parts of one evaluation that its steps share."""

    node: dict[str, Any]
    models: Models
    classifier: Any
    judge: Any
    queries: QuerySet | None
    answers: dict[str, Counterfactuals]


def evaluate(config: DictConfig, run_dir: Path, choices: Mapping[str, str], overrides: Sequence[str]) -> dict[str, Any]:
    """Run the evaluation of a composed config in `run_dir`; returns the content of metrics.json."""
    node: dict[str, Any] = plain(config)
    started = time.perf_counter()
    check_options(node)
    if node["threads"]:
        torch.set_num_threads(node["threads"])
    dtype = _dtype(node["dtype"])
    models = Models(Store(Path(node["store"]).expanduser()), node["data"], resolve_device(node["device"]), dtype)
    fingerprint = digest({key: value for key, value in node.items() if key not in INCIDENTAL})
    with claim(run_dir, fingerprint, node["overwrite"]):
        models.data.setup()
        _require_models(node, models, choices, overrides)
        logger = build(node["logger"], where="logger", save_dir=str(run_dir))
        try:
            train_all(needs.for_evaluation(node), models, node["trainer"], logger, command=command_line(), announce=False)
            same_weights(run_dir, models.fingerprint(node["classifier"]))
            write_text(run_dir / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
            evaluation = _prepare(node, models)
            _answer(evaluation, run_dir)
            return _score(evaluation, run_dir, logger, time.perf_counter() - started)
        finally:
            close(logger)


def _dtype(name: str) -> torch.dtype:
    if name not in ("float32", "float64"):
        raise UserError(f"dtype={name} is not offered; choose float32 or float64")
    return torch.float32 if name == "float32" else torch.float64


def _require_models(node: dict[str, Any], models: Models, choices: Mapping[str, str], overrides: Sequence[str]) -> None:
    absent = needs.missing(needs.for_evaluation(node), models)
    if absent and not node["train_missing"]:
        commands = dict.fromkeys(needs.command(path, model, choices, overrides) for path, model in absent)
        raise UserError(f"{len(absent)} model(s) are not trained yet; run: {' && '.join(commands)}   (or add train_missing=true)")


def _prepare(node: dict[str, Any], models: Models) -> Evaluation:
    from rich import print

    classifier, judge = models.share(node["classifier"]), models.share(node["judge"])
    if classifier is judge:
        raise UserError("judge: is the classifier itself, so it cannot judge; choose another classifier@judge= or judge.seed=")
    labelled = not isinstance(classifier.decision, Threshold)
    batch = models.data.test[torch.randperm(len(models.data.test), generator=torch.Generator().manual_seed(0))[:256]]
    batch = batch._replace(x=batch.x.to(models.device, models.dtype), y=batch.y.to(models.device))
    for warning in check(classifier, batch, len(models.data.class_names), gradients=_needs_gradients(node), labelled=labelled):
        print(f"[yellow]warning:[/yellow] {warning}")
    queries = None if node["counterfactuals"] else _queries(node, models, classifier)
    return Evaluation(node, models, classifier, judge, queries, {})


def _needs_gradients(node: dict[str, Any]) -> bool:
    from counterfoil.util.build import locate

    if node["counterfactuals"]:
        return False
    return any(getattr(locate(e["_target_"], "explainer"), "needs_gradients", True) for e in (node.get("explainer") or {}).values())


def _queries(node: dict[str, Any], models: Models, classifier: Any) -> QuerySet:
    """The asked questions; a sample is drawn once for its data, classifier, seed and size, and read from then on."""
    if node["queries"] is not None:
        path = Path(node["queries"]).expanduser()
        if path.is_dir():
            return from_folder(path, models.data, classifier, str(node["target"]))
        return from_csv(path, models.data, classifier.class_names)
    key = digest(
        [
            models.data.identity,
            models.fingerprint(node["classifier"]),
            node["seed"],
            node["n"],
            node["target"],
            node["classifier"]["decision"],
        ]
    )
    frozen = models.store.root / "queries" / f"{models.data.name}-{key}.csv"
    if not frozen.is_file():
        sample(models.data, classifier, node["n"], node["seed"], str(node["target"])).save(frozen)
    return from_csv(frozen, models.data, classifier.class_names)


def _answer(evaluation: Evaluation, run_dir: Path) -> None:
    node, models, queries = evaluation.node, evaluation.models, evaluation.queries
    if queries is None:
        size = (models.data.channels, models.data.size, models.data.size)
        evaluation.answers = read_answers(Path(node["counterfactuals"]).expanduser(), evaluation.classifier, size)
        for name, answers in evaluation.answers.items():
            answers.save(run_dir / "counterfactuals" / name / "batch-00000.safetensors")
        return
    if not node.get("explainer"):
        raise UserError(
            "explainer: none chosen; choose one or several, such as explainer=revise or explainer=[wachter,revise] or explainer=all"
        )
    queries.save(run_dir / "questions.csv")
    mask = _mask(node["mask"], models)
    explainers = {
        name: build(recipe, models.share, f"explainer.{name}", classifier=evaluation.classifier)
        for name, recipe in node["explainer"].items()
    }
    for name, explainer in explainers.items():
        explainer.fit(models.data)
        folder = run_dir / "counterfactuals" / name
        evaluation.answers[name] = explain_all(explainer, name, queries, folder, node["batch_size"], models.device, models.dtype, mask)


def _mask(path: str | None, models: Models) -> Tensor | None:
    if path is None:
        return None
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(Path(path).expanduser()) as image:
            pixels = np.asarray(image.convert("L"))
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"mask={path} is not a readable image file ({error})") from error
    if pixels.shape != (models.data.size, models.data.size):
        raise UserError(f"mask={path} is {pixels.shape[1]} x {pixels.shape[0]} px, the data are {models.data.size} x {models.data.size}")
    return torch.from_numpy(pixels > 127).to(models.device)


def _score(evaluation: Evaluation, run_dir: Path, logger: Any, seconds: float) -> dict[str, Any]:
    node, models = evaluation.node, evaluation.models
    metrics = _metrics(node, models)
    told = {name: declared_metrics(cf, evaluation.classifier) for name, cf in evaluation.answers.items()}
    scored = {
        name: evaluate_metrics({**metrics, **told[name]}, _placed(cf, models), seed=node["seed"]) for name, cf in evaluation.answers.items()
    }
    summary = {
        "methods": {name: entries for name, (entries, _table) in scored.items()},
        "queries": _about_queries(evaluation, seconds),
        "config": node,
        "versions": versions(),
    }
    tables = {name: table for name, (_entries, table) in scored.items()}
    write_queries(run_dir / "queries.csv", evaluation.answers, tables, _names(evaluation))
    _report(evaluation, summary, tables, {name: metric for part in (metrics, *told.values()) for name, metric in part.items()}, run_dir)
    _log(logger, summary, evaluation.answers, tables)
    write_json(run_dir / "metrics.json", summary)
    return summary


def _metrics(node: dict[str, Any], models: Models) -> dict[str, Any]:
    """The metrics chosen; a recipe may stand for several, by name."""
    built = {name: build(recipe, models.share, f"metric.{name}") for name, recipe in (node.get("metric") or {}).items()}
    return {key: metric for name, made in built.items() for key, metric in (made if isinstance(made, Mapping) else {name: made}).items()}


def _placed(cf: Counterfactuals, models: Models) -> list[Counterfactuals]:
    """Batches on the networks' device and in their type."""
    placed = []
    for start in range(0, len(cf), 256):
        part = cf[slice(start, start + 256)].to(models.device)
        named = {name: value.to(models.dtype) if name in ("factual", "counterfactual") else value for name, value in vars(part).items()}
        placed.append(Counterfactuals(**named))
    return placed


def _names(evaluation: Evaluation) -> list[int | str]:
    if evaluation.queries is not None:
        return list(evaluation.queries.names)
    return list(range(max(int(cf.query.max()) + 1 for cf in evaluation.answers.values())))


def _about_queries(evaluation: Evaluation, seconds: float) -> dict[str, Any]:
    node, models = evaluation.node, evaluation.models
    first = next(iter(evaluation.answers.values()))
    manifests = {key: models.store.manifest(node[key], models.data).get("test", {}) for key in ("classifier", "judge")}
    return {
        "n": int(first.query.unique().numel()),
        "rows": {name: len(cf) for name, cf in evaluation.answers.items()},
        "target": node["target"],
        "confidence": node["confidence"],
        "seed": node["seed"],
        "data": models.data.name,
        "class_names": list(evaluation.classifier.class_names),
        "classifier": node["classifier"]["name"],
        "classifier_sha256": models.fingerprint(node["classifier"]),
        "classifier_accuracy": manifests["classifier"].get("accuracy"),
        "judge": node["judge"]["name"],
        "judge_accuracy": manifests["judge"].get("accuracy"),
        "seconds": seconds,
        "command": command_line(),
    }


def _report(
    evaluation: Evaluation, summary: dict[str, Any], tables: dict[str, dict[str, Tensor]], metrics: dict[str, Any], run_dir: Path
) -> None:
    from rich.console import Console

    from counterfoil.metric.base import describe
    from counterfoil.report.html import write_report
    from counterfoil.report.leaderboard import leaderboard

    about = summary["queries"]
    judged = {
        name: torch.cat([probability_of(evaluation.judge(p.counterfactual), p.target) for p in _placed(cf, evaluation.models)]).cpu()
        for name, cf in evaluation.answers.items()
    }
    page = write_report(
        run_dir / "report.html",
        summary,
        evaluation.answers,
        tables,
        evaluation.classifier.class_names,
        {name: describe(metric) for name, metric in metrics.items()},
        title=f"Counterfactuals of {about['data']}",
        command=about["command"],
        judge_probabilities=judged,
        facts=_facts(about),
    )
    console = Console()
    console.print(leaderboard(summary))
    console.print(f"{about['n']} queries, {about['seconds']:.0f} s.  Report: {page}", soft_wrap=True)


def _facts(about: dict[str, Any]) -> dict[str, Any]:
    """The head of the report."""

    def model(key: str) -> str:
        accuracy = about[f"{key}_accuracy"]
        return about[key] if accuracy is None else f"{about[key]}, test accuracy {100 * accuracy:.2f} %"

    return {
        "Data": about["data"],
        "Classifier": model("classifier"),
        "Judge": model("judge"),
        "Queries": about["n"],
        "Target": str(about["target"]).replace("_", " "),
        "Confidence": about["confidence"],
        "Seed": about["seed"],
        "Time": f"{about['seconds']:.0f} s",
    }


def _log(logger: Any, summary: dict[str, Any], answers: Mapping[str, Counterfactuals], tables: dict[str, dict[str, Tensor]]) -> None:
    from counterfoil.report.grid import overview

    if not logger:
        return
    logger.log_hyperparams({key: value for key, value in summary["queries"].items() if not isinstance(value, dict | list)})
    logger.log_metrics(
        {f"{m}/{name}": e["value"] for m, entries in summary["methods"].items() for name, e in entries.items() if e["value"] is not None}
    )
    for name, cf in answers.items():
        log_picture(logger, f"{name}/grid", overview(cf))
    if type(logger).__name__ == "WandbLogger":
        for name, table in tables.items():
            rows = zip(
                answers[name].query.tolist(), answers[name].target.tolist(), *(column.tolist() for column in table.values()), strict=True
            )
            logger.log_table(f"{name}/queries", columns=["query", "target", *table], data=[list(row) for row in rows])
