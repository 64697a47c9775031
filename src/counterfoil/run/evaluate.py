"""What evaluate.py does once its config is composed: explain, score, report."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from counterfoil.classifier.check import check
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.decision import Threshold
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.data.base import ImageData
from counterfoil.data.counterfactuals import read_counterfactuals
from counterfoil.data.queries import QuerySet, from_csv, from_folder, read_mask, sample
from counterfoil.explainer.base import Explainer
from counterfoil.metric.network import asked_once
from counterfoil.run.config import check_options, chosen, run_identity, settle_judge
from counterfoil.run.folder import claim, same_weights, write_queries
from counterfoil.run.models import (
    Models,
    how_to_do_without,
    missing,
    needed_for_counterfactuals,
    needed_for_evaluation,
    resolve_device,
    torch_type,
    train_command,
)
from counterfoil.run.results import Evaluation, about_queries, log, measurable, report, score
from counterfoil.run.store import Store
from counterfoil.run.train import train_all
from counterfoil.util.build import build, locate, plain
from counterfoil.util.cli import config_dirs
from counterfoil.util.digest import digest
from counterfoil.util.loggers import close
from counterfoil.util.record import command_line, versions, write_json, write_text


def evaluate(
    config: DictConfig, run_dir: Path, choices: Mapping[str, str], overrides: Sequence[str]
) -> dict[str, Any]:
    """Run the evaluation of a composed config in `run_dir`; returns the content of metrics.json."""
    config = settle_judge(config)
    node: dict[str, Any] = plain(config)
    started = time.perf_counter()
    check_options(node)
    node["explainer"] = chosen(node.get("explainer") or {})
    if node["threads"]:
        torch.set_num_threads(node["threads"])
    dtype = torch_type(node["dtype"])
    models = Models(
        Store(Path(node["store"]).expanduser()), node["data"], resolve_device(node["device"]), dtype
    )
    with claim(run_dir, run_identity(node), node["overwrite"]):
        models.data.setup()
        node["metric"] = {name: node["metric"][name] for name in measurable(config, models.data, overrides)}
        _require_models(node, models, choices, overrides)
        logger = build(node["logger"], where="logger", save_dir=str(run_dir))
        try:
            train_all(
                needed_for_evaluation(node),
                models,
                node["trainer"],
                logger,
                command=command_line(),
                announce=False,
            )
            same_weights(
                run_dir,
                {path: models.weights_sha256(model) for path, model in needed_for_counterfactuals(node)},
            )
            write_text(run_dir / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
            evaluation = _prepare(node, models)
            _explain(evaluation, run_dir)
            with asked_once():
                return _score(evaluation, run_dir, logger, time.perf_counter() - started)
        finally:
            close(logger)


def _require_models(
    node: dict[str, Any], models: Models, choices: Mapping[str, str], overrides: Sequence[str]
) -> None:
    absent = missing(needed_for_evaluation(node), models)
    if absent and not models.data.labelled:
        raise UserError(
            f"data={models.data.name} has no labels to train {absent[0][0]} on; set {how_to_do_without(absent[0][0])}"
        )
    if absent and not node["train_missing"]:
        folders = config_dirs(sys.argv)
        commands = dict.fromkeys(
            train_command(path, model, choices, overrides, folders) for path, model in absent
        )
        raise UserError(
            f"{len(absent)} model(s) are not trained yet; run: {' && '.join(commands)}   (or add train_missing=true)"
        )


def _prepare(node: dict[str, Any], models: Models) -> Evaluation:
    classifier, judge = (
        models.share(node["classifier"]),
        None if node["judge"] is None else models.share(node["judge"]),
    )
    _check_judge(judge, classifier, models.data.labelled)
    labelled = models.data.labelled and not isinstance(classifier.decision, Threshold)
    batch = models.data.test[
        torch.randperm(len(models.data.test), generator=torch.Generator().manual_seed(0))[:256]
    ]
    batch = batch._replace(x=batch.x.to(models.device, models.dtype), y=batch.y.to(models.device))
    for warning in check(
        classifier, batch, len(models.data.class_names), gradients=_needs_gradients(node), labelled=labelled
    ):
        warnings.warn(warning, CounterfoilWarning, stacklevel=2)
    queries = None if node["counterfactuals"] else _corrupted(query_set(node, models, classifier), node)
    return Evaluation(node, models, classifier, judge, queries, {})


def _corrupted(queries: QuerySet, node: dict[str, Any]) -> QuerySet:
    """The queries as `corruption=` leaves them; their targets are those of the clean images."""
    if node["corruption"] is None:
        return queries
    return queries.corrupt(build(node["corruption"], where="corruption"), node["seed"])


def _check_judge(judge: Any, classifier: Any, labelled: bool) -> None:
    """A judge is another network; without labels, nothing but the count tells that it was trained on the same classes."""
    if judge is classifier:
        raise UserError(
            "judge: is the classifier itself, so it cannot judge; choose another classifier@judge= or judge.seed="
        )
    if judge is not None and not labelled and len(judge.class_names) != len(classifier.class_names):
        found = f"{len(judge.class_names)} classes, the classifier {len(classifier.class_names)}"
        raise UserError(f"judge: tells {found}; choose another judge.checkpoint=, or judge=null")


def _needs_gradients(node: dict[str, Any]) -> bool:
    if node["counterfactuals"]:
        return False
    return any(
        getattr(locate(e["_target_"], "explainer"), "needs_gradients", True)
        for e in (node.get("explainer") or {}).values()
    )


def _explain(evaluation: Evaluation, run_dir: Path) -> None:
    node, models, queries = evaluation.node, evaluation.models, evaluation.queries
    if queries is None:
        size = (models.data.channels, models.data.size, models.data.size)
        evaluation.counterfactuals = read_counterfactuals(
            Path(node["counterfactuals"]).expanduser(), evaluation.classifier, size
        )
        for name, counterfactuals in evaluation.counterfactuals.items():
            counterfactuals.save(run_dir / "counterfactuals" / name / "batch-00000.safetensors")
        return
    if not node.get("explainer"):
        raise UserError(
            "explainer: none chosen; choose one or several, such as explainer=revise or explainer=[wachter,revise] or explainer=all"
        )
    queries.save(run_dir / "query_set.csv")
    mask = _mask(node["mask"], models)
    explainers = {
        name: build(recipe, models.share, f"explainer.{name}", classifier=evaluation.classifier)
        for name, recipe in node["explainer"].items()
    }
    for name, explainer in explainers.items():
        explainer.fit(models.data)
        folder = run_dir / "counterfactuals" / name
        evaluation.counterfactuals[name] = explain_all(
            explainer,
            name,
            queries,
            folder,
            node["batch_size"],
            models.device,
            models.dtype,
            mask,
            node["reference"],
        )


def _score(evaluation: Evaluation, run_dir: Path, logger: Any, seconds: float) -> dict[str, Any]:
    entries, tables, described = score(evaluation)
    summary = {
        "methods": entries,
        "queries": about_queries(evaluation, seconds),
        "config": evaluation.node,
        "versions": versions(),
    }
    write_queries(run_dir / "queries.csv", evaluation.counterfactuals, tables, evaluation.names)
    report(evaluation, summary, tables, described, run_dir)
    log(logger, summary, evaluation.counterfactuals, tables)
    write_json(run_dir / "metrics.json", summary)
    return summary


def explain_all(
    explainer: Explainer,
    name: str,
    queries: QuerySet,
    folder: Path,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
    mask: Tensor | None,
    reference: bool = False,
) -> Counterfactuals:
    """Explain all rows of a query set; batches whose file is already in `folder` are read instead of computed."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    parts = []
    columns = (
        TextColumn(f"{name:16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task(name, total=len(queries))
        for i, (x, target, query) in enumerate(queries.batches(batch_size)):
            file = folder / f"batch-{i:05d}.safetensors"
            if not file.is_file():
                found = counterfactual(explainer, x.to(device, dtype), target.to(device), query, mask)
                if queries.corrupted is not None:
                    clean = queries.clean[query].to(device, dtype)
                    found = beside_clean(found, explainer, clean, target.to(device), mask, reference)
                found.save(file)
            parts.append(Counterfactuals.load(file))
            progress.update(task, advance=len(target))
    return Counterfactuals.cat(parts)


def counterfactual(
    explainer: Explainer, x: Tensor, target: Tensor, query: Tensor, mask: Tensor | None
) -> Counterfactuals:
    """One batch's counterfactuals on the CPU in float32, numbered by the query set's own indices."""
    found: Counterfactuals = explainer(x, target, mask=mask)

    def single(name: str, value: Tensor) -> Tensor:
        whole = name in ("steps", "seconds") or not value.is_floating_point()
        return value.cpu() if whole else value.cpu().float()

    return replace(found.map(single), query=query[found.query.cpu()])


def beside_clean(
    found: Counterfactuals,
    explainer: Explainer,
    clean: Tensor,
    target: Tensor,
    mask: Tensor | None,
    reference: bool,
) -> Counterfactuals:
    """Counterfactuals of a batch of corrupted queries with the clean ones (B, C, H, W) beside them.

    With `reference` the method explains the clean queries as well, and its counterfactuals are kept too.
    """
    rows = torch.arange(len(clean)).repeat_interleave(explainer.count)
    own = explainer(clean, target, mask=mask).counterfactual.float().cpu() if reference else None
    return replace(found, clean=clean.float().cpu()[rows], reference=own)


def query_set(node: dict[str, Any], models: Models, classifier: Any) -> QuerySet:
    """The queries to explain; a sample is drawn once for its data, classifier, seed and size, and read from then on."""
    if node["queries"] is not None:
        path = Path(node["queries"]).expanduser()
        if path.is_dir():
            return from_folder(path, models.data, classifier, str(node["target"]))
        return from_csv(path, models.data, classifier.class_names)
    key = digest(
        [
            models.data.identity,
            models.weights_sha256(node["classifier"]),
            node["seed"],
            node["n"],
            node["target"],
            node["classifier"]["decision"],
        ]
    )
    frozen = models.store.root / "queries" / f"{models.data.name}-{key}.csv"
    if not frozen.is_file():
        sample(models.data, classifier, node["n"], node["seed"], str(node["target"])).save(frozen)
    return _named(from_csv(frozen, models.data, classifier.class_names), models.data)


def _named(asked: QuerySet, data: ImageData) -> QuerySet:
    """Queries whose images are called by their own names, where the data know them."""
    names = data.test_names
    return replace(asked, names=tuple(names[int(place)] for place in asked.names)) if names else asked


def _mask(path: str | None, models: Models) -> Tensor | None:
    """The pixels that must stay (H, W) bool; None where all may change."""
    return None if path is None else read_mask(Path(path).expanduser(), models.data.size).to(models.device)
