"""What the scripts beside speed.py share: trained networks, a table and a record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from timing import ROOT, about, machine  # noqa: F401 (for setting.py)

from counterfoil.run.config import typed
from counterfoil.run.models import Models, missing
from counterfoil.run.store import Store
from counterfoil.run.train import train_all
from counterfoil.util import cli  # noqa: F401 (registers the resolvers of the configs)
from counterfoil.util.build import plain
from counterfoil.util.record import write_json


def config(*overrides: str) -> dict[str, Any]:
    """The config of evaluate.py: dicts, and recipes of models and data."""
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        node: dict[str, Any] = typed(plain(hydra.compose("evaluate", overrides=["logger=none", *overrides])))
    return node


def trained(node: dict[str, Any], names: Sequence[str], device: str = "cpu") -> tuple[Models, list[Any]]:
    """The data, and the named models of a config; those that are not in the store are trained first, once."""
    store = Path(node["store"])
    models = Models(Store(store if store.is_absolute() else ROOT / store), node["data"], device)
    train_all(missing({name: node[name] for name in names}, models), models, node["trainer"], False)
    return models, [models.share(node[name]) for name in names]


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: names to the left, figures to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def record(name: str, content: Mapping[str, Any]) -> Path:
    """Write runs/benchmarks/<name>.json."""
    path = ROOT / "runs" / "benchmarks" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, json.loads(json.dumps(content, default=str)))
    return path
