"""Which models a config needs, and the command that trains one."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from counterfoil.run.models import Models
from counterfoil.util.build import Node, model_nodes

GROUPS = {
    "classifier": "classifier",
    "judge": "classifier@judge",
    "generative": "generative",
    "autoencoder": "generative@autoencoder",
}
"""Keys of a config that hold a model, and the config group that fills each."""
SHARED = ("data", "seed", "attribute", "store", "experiment")
"""Options that change the address of a model, or the whole config."""


def for_training(config: Node) -> list[tuple[str, Node]]:
    """Every model that the config names, dependencies first."""
    named = {key: config[key] for key in (*GROUPS, "explainer", "metric") if config.get(key)}
    return _distinct(model_nodes(named), config)


def for_evaluation(config: Node) -> list[tuple[str, Node]]:
    """The models that explaining and scoring use: classifier and judge, what the metrics refer to, and the methods where they search."""
    used = {key: config[key] for key in ("judge", "metric") if config.get(key)}
    return _distinct([*for_counterfactuals(config), *model_nodes(used)], config)


def for_counterfactuals(config: Node) -> list[tuple[str, Node]]:
    """The models that the counterfactuals depend on: the classifier, and those of the methods where they search."""
    searching = () if config.get("counterfactuals") else ("explainer",)
    used = {key: config[key] for key in ("classifier", *searching) if config.get(key)}
    return _distinct(model_nodes(used), config)


def missing(nodes: Sequence[tuple[str, Node]], models: Models) -> list[tuple[str, Node]]:
    """Those of the models that are not trained yet."""
    return [(path, node) for path, node in nodes if not models.store.has(node, models.data)]


def command(
    path: str, node: Node, choices: Mapping[str, str], overrides: Sequence[str], folders: Sequence[Path] = ()
) -> str:
    """The train.py command that makes the model at `path`, from this run's choices, overrides and folders of further configs."""
    flags = [f"--config-dir={folder}" for folder in folders]
    if path not in GROUPS:
        return shlex.join(["python", "evaluate.py", *flags, *overrides, "train_missing=true"])
    shared = [part for part in overrides if part.split("=")[0].split(".")[0].lstrip("+~") in SHARED]
    own = [part for part in overrides if part.split("=")[0].lstrip("+~").startswith(f"{path}.")]
    return shlex.join(
        [
            "python",
            "train.py",
            *flags,
            *shared,
            f"{GROUPS[path]}={choices.get(GROUPS[path], node['name'])}",
            *own,
        ]
    )


def fix(path: str) -> str:
    """What to set where the model at `path` is not there and cannot be trained."""
    if path == "judge":
        return "judge=null, or judge.checkpoint=FILE"
    if path == "classifier":
        return "classifier=custom classifier.checkpoint=FILE"
    return f"{path}.checkpoint=FILE, or choose methods that need no trained model, such as explainer=disc"


def _distinct(nodes: Iterable[tuple[str, Node]], config: Node) -> list[tuple[str, Node]]:
    """Each model once, called by its group where the config has it as one."""
    kept: list[tuple[str, Node]] = []
    for path, node in nodes:
        if all(node != other for _, other in kept):
            kept.append((next((key for key in GROUPS if config.get(key) == node), path), node))
    return kept
