"""What the steps of one evaluation share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.data.queries import QuerySet
from counterfoil.run.models import Models
from counterfoil.run.store import digest, file_digest

INCIDENTAL = ("run_dir", "logger", "trainer", "threads", "overwrite", "train_missing", "metric")
"""Options that do not change what a run explains."""
FILES = ("queries", "mask")
"""Options that name a file, whose content is what counts."""


@dataclass
class Evaluation:
    """The parts of one evaluation that its steps share; `judge` may be None, and `queries` is where stored counterfactuals are scored again."""

    node: dict[str, Any]
    models: Models
    classifier: Any
    judge: Any
    queries: QuerySet | None
    counterfactuals: dict[str, Counterfactuals]

    @property
    def names(self) -> list[int | str]:
        """What each query is called in tables: its place in the test split, or its file's name."""
        if self.queries is not None:
            return list(self.queries.names)
        return list(range(max(int(cf.query.max()) + 1 for cf in self.counterfactuals.values())))


def fingerprint(node: Mapping[str, Any]) -> str:
    """What a run explains, in ten hex digits: its options, with the content of the files that they name."""
    asked = {key: value for key, value in node.items() if key not in INCIDENTAL}
    return digest(
        asked | {key: content(Path(str(asked[key])).expanduser()) for key in FILES if asked.get(key)}
    )


def content(path: Path) -> str:
    """SHA-256 of a file, or of the files in a folder with their names; the path itself where there is none, for its reader to refuse."""
    if path.is_file():
        return file_digest(path)
    if path.is_dir():
        return digest(
            [(file.name, file_digest(file)) for file in sorted(path.iterdir()) if file.is_file()], digits=64
        )
    return str(path)


def placed(cf: Counterfactuals, models: Models, rows: int = 256) -> list[Counterfactuals]:
    """Batches on the networks' device and in their type."""
    parts = []
    for start in range(0, len(cf), rows):
        part = cf[slice(start, start + rows)].to(models.device)
        named = {
            name: value.to(models.dtype) if name in ("factual", "counterfactual") else value
            for name, value in vars(part).items()
        }
        parts.append(Counterfactuals(**named))
    return parts


def torch_type(name: str) -> torch.dtype:
    """A precision by name."""
    if name not in ("float32", "float64"):
        raise UserError(f"dtype={name} is not supported; choose one of float32 or float64")
    return torch.float32 if name == "float32" else torch.float64
