"""What a run writes beside its counterfactuals: metrics.json, queries.csv, the config and the versions."""

from __future__ import annotations

import csv
import json
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals

PACKAGES = (
    "counterfoil",
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "wandb",
    "numpy",
    "safetensors",
)


def versions() -> dict[str, str]:
    """Versions of Python, the platform and the packages that results depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def command_line() -> str:
    """The command that started this process, for a person to repeat."""
    import shlex

    script = Path(sys.argv[0])
    inner = (
        script.parent.name == "benchmarks"
    )  # the other scripts lie at the top, wherever they are called from
    return shlex.join(
        ["python", str(Path(script.parent.name, script.name)) if inner else script.name, *sys.argv[1:]]
    )


def write_json(path: Path, value: Any) -> None:
    """Write under a temporary name, then rename."""
    write_text(path, json.dumps(value, indent=1, default=str))


def write_text(path: Path, text: str) -> None:
    """Write under a temporary name, then rename."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_queries(
    path: Path,
    counterfactuals: Mapping[str, Counterfactuals],
    tables: Mapping[str, Mapping[str, Tensor]],
    index: list[int | str],
) -> None:
    """One row a counterfactual: method, query, target, source, valid, and every metric."""
    partial = path.with_name(path.name + ".partial")
    names = list(dict.fromkeys(name for table in tables.values() for name in table))
    try:
        with partial.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["method", "query", "image", "source", "target", "valid", *names])
            for method, cf in counterfactuals.items():
                columns = [
                    tables[method][name].tolist() if name in tables[method] else [float("nan")] * len(cf)
                    for name in names
                ]
                heads = zip(
                    cf.query.tolist(),
                    cf.source.tolist(),
                    cf.target.tolist(),
                    cf.valid.tolist(),
                    *columns,
                    strict=True,
                )
                for query, source, target, valid, *values in heads:
                    writer.writerow(
                        [
                            method,
                            query,
                            index[query],
                            source,
                            target,
                            int(valid),
                            *(f"{value:.6g}" for value in values),
                        ]
                    )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
