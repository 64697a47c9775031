"""Scores the counterfactuals of all methods, and says what was asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from counterfoil.metric.attribute import declared_metrics
from counterfoil.metric.base import describe
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.run.evaluation import Evaluation, placed
from counterfoil.run.models import Models
from counterfoil.run.record import command_line
from counterfoil.util.build import build

Tables = dict[str, dict[str, Tensor]]
"""method -> metric -> one value a counterfactual (N,)."""


def score(evaluation: Evaluation) -> tuple[dict[str, Any], Tables, dict[str, str]]:
    """The "methods" part of metrics.json, the value of each counterfactual, and what each metric is."""
    node, models = evaluation.node, evaluation.models
    metrics = _metrics(node, models)
    told = {
        name: declared_metrics(cf, evaluation.classifier) for name, cf in evaluation.counterfactuals.items()
    }
    scored = {
        name: evaluate_metrics({**metrics, **told[name]}, placed(cf, models), seed=node["seed"])
        for name, cf in evaluation.counterfactuals.items()
    }
    described = {
        name: describe(metric) for part in (metrics, *told.values()) for name, metric in part.items()
    }
    return (
        {name: entries for name, (entries, _) in scored.items()},
        {name: table for name, (_, table) in scored.items()},
        described,
    )


def _metrics(node: dict[str, Any], models: Models) -> dict[str, Any]:
    """The metrics chosen; a recipe may stand for several, by name."""
    built = {
        name: build(recipe, models.share, f"metric.{name}")
        for name, recipe in (node.get("metric") or {}).items()
    }
    return {
        key: metric
        for name, made in built.items()
        for key, metric in (made if isinstance(made, Mapping) else {name: made}).items()
    }


def about_queries(evaluation: Evaluation, seconds: float) -> dict[str, Any]:
    """The "queries" part of metrics.json: what was asked of whom, and how good the networks are."""
    node, models = evaluation.node, evaluation.models
    first = next(iter(evaluation.counterfactuals.values()))
    manifests = {
        key: models.store.manifest(node[key], models.data).get("test", {}) if node[key] else {}
        for key in ("classifier", "judge")
    }
    return {
        "n": int(first.query.unique().numel()),
        "rows": {name: len(cf) for name, cf in evaluation.counterfactuals.items()},
        "target": node["target"],
        "confidence": node["confidence"],
        "seed": node["seed"],
        "data": models.data.name,
        "class_names": list(evaluation.classifier.class_names),
        "classifier": node["classifier"]["name"],
        "classifier_sha256": models.fingerprint(node["classifier"]),
        "classifier_accuracy": manifests["classifier"].get("accuracy"),
        "judge": node["judge"]["name"] if node["judge"] else None,
        "judge_accuracy": manifests["judge"].get("accuracy"),
        "seconds": seconds,
        "command": command_line(),
    }
