"""A run folder: one run at a time, resumed only by the same command, never overwritten unasked."""

from __future__ import annotations

import csv
import math
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.batches import Rows
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.whole import ENDING
from counterfoil.util.lock import InUse, holder, locked
from counterfoil.util.record import read_json, whole, write_json

LOCK = ".lock"
OPEN, START = "open", "start"
"""Noted in run.json: the process that lets other ranks write counterfactuals, and the start that it is of."""
CLEARING = "clearing"
"""Noted in run.json as long as the run that is replaced is being removed."""
OURS = (
    "run.json",
    "counterfactuals",
    "metrics.json",
    "queries.csv",
    "report.html",
    "report",
    "tables",
    "strips",
    "audit.json",
    "audit.safetensors",
    "config.yaml",
    "query_set.csv",
    "query_set.json",
    "states",
    "csv",
    "wandb",
    "tensorboard",
)


class Held(UserError):
    """Another process has the folder."""


@dataclass
class Claim:
    """A run folder that this process holds.

    Attributes:
        folder: the folder.
        identity: of the run.
        old: the files of the run that this one replaces, and when each was written; None where there is none.
    """

    folder: Path
    identity: str
    old: dict[Path, int] | None = None

    def begin(self) -> None:
        """All checks are passed: remove the run that is replaced, if there is one.

        What has been written since the folder was claimed, such as the log of a training, stays.
        """
        if self.old is None:
            return
        write_json(self.folder / "run.json", {"identity": self.identity, CLEARING: True})
        for path, written in self.old.items():
            if path.is_file() and path.stat().st_mtime_ns == written:
                path.unlink()
        for name in OURS:
            _remove_empty(self.folder / name)
        self.old = None
        write_json(self.folder / "run.json", {"identity": self.identity})

    def open(self, start: str) -> None:
        """Let other ranks write counterfactuals too.

        Args:
            start: names this start of the run among all; "" for none.
        """
        _note(self.folder, **{OPEN: holder(self.folder / LOCK), START: start})


NAMED = ("query", "image", "source", "target", "valid")
"""Columns that say what a row is about."""


@contextmanager
def claim(folder: Path, identity: str, overwrite: bool) -> Iterator[Claim]:
    """Lock a run folder for a run with this identity; raises UserError where it belongs to another.

    A folder whose run of the same identity was cut off is taken up again; a finished one only with
    `overwrite`, which replaces it when the new run begins, and nothing in a folder that no run of ours has
    made. A `UserError` before the first counterfactual leaves the folder as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / LOCK):
            replaces = overwrite and (folder / "run.json").is_file()
            if not replaces:
                _refuse_foreign(folder, identity)
                _note(folder, identity=identity)
            _remove_temporary(folder)
            claimed = Claim(folder, identity, _files(folder) if replaces else None)
            if not replaces and CLEARING in _noted(folder):  # killed while it removed the run before it
                replace(claimed, old=_files(folder)).begin()
            try:
                yield claimed
            except (UserError, OSError):
                if claimed.old is None and not (folder / "counterfactuals").exists():
                    _clear(folder)
                raise
    except InUse as other:
        raise Held(
            f"run_dir={folder} is in use by another run ({other}); wait for it or choose another run_dir="
        ) from other


def in_use(folder: Path, by: str = "") -> bool:
    """Whether a process has the folder; `by`: the one of that name."""
    found = holder(folder / LOCK)
    return found == by if by else bool(found)


def opened(folder: Path, identity: str, by: str = "") -> bool:
    """Whether the process that has the folder lets other ranks of this run write counterfactuals.

    Args:
        folder: of the run.
        identity: of the run.
        by: the process that is to have it; "": any.

    Raises:
        UserError: it is at another run.
    """
    found = holder(folder / LOCK)
    if not found or (by and found != by):
        return False
    noted = _noted(folder)
    if noted.get(OPEN) != found:
        return False
    if noted.get("identity") != identity:
        raise UserError(f"run_dir={folder} holds another evaluation; choose another run_dir=")
    return True


def noted_start(folder: Path) -> str:
    """The start of the run that the folder holds, "" where it has no name."""
    return str(_noted(folder).get(START, ""))


def _files(folder: Path) -> dict[Path, int]:
    """The files of a run and when they were written, but for run.json; metrics.json comes first."""
    places = [folder / name for name in OURS if name != "run.json"]
    found = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
    found.sort(key=lambda path: path.name != "metrics.json")
    return {path: path.stat().st_mtime_ns for path in found}


def _remove_temporary(folder: Path) -> None:
    """Remove what a killed run of ours was writing, and the locks that its ranks held."""
    for place in (folder, *(folder / name for name in OURS)):
        for left in place.glob(f".*{ENDING}") if place == folder else place.rglob(f".*{ENDING}"):
            left.unlink(missing_ok=True)
    for left in (folder / "counterfactuals").glob(f"*/.*{LOCK}"):
        left.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    if folder.is_dir():
        for path in (*sorted(folder.rglob("*"), reverse=True), folder):
            with suppress(OSError):
                path.rmdir()


def same_weights(folder: Path, weights: Mapping[str, str]) -> None:
    """Note the hashes of the models that explain, or refuse counterfactuals that other weights gave."""
    noted = _noted(folder)
    for name, value in weights.items():
        if noted.get(f"weights of {name}", value) != value:
            raise UserError(
                f"run_dir={folder} holds counterfactuals about other weights of this {name}; "
                "overwrite=true starts again"
            )
    _note(folder, **{f"weights of {name}": value for name, value in weights.items()})


def finished(folder: Path, identity: str) -> bool:
    """Whether a folder holds the whole of an evaluation; a damaged metrics.json is made anew."""
    noted = _noted(folder)
    return noted.get("identity") == identity and CLEARING not in noted and bool(figures(folder))


def figures(folder: Path) -> dict[str, Any]:
    """The content of a run's metrics.json; {} where it is missing, and with a warning where it is damaged."""
    path = folder / "metrics.json"
    if not path.is_file():
        return {}
    try:
        return read_json(path, "figures of a finished run")
    except UserError as error:
        warnings.warn(f"{error}; they are taken anew", CounterfoilWarning, stacklevel=2)
        return {}


def _noted(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    what = "notes of a run; choose another run_dir=, or overwrite=true to start again"
    return read_json(path, what) if path.is_file() else {}


def _note(folder: Path, **values: str) -> None:
    write_json(folder / "run.json", {**_noted(folder), **values})


def _clear(folder: Path) -> None:
    for name in OURS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _refuse_foreign(folder: Path, identity: str) -> None:
    if not (folder / "run.json").is_file():
        partial = set(folder.glob(f".*{ENDING}"))  # of a run that was killed while it wrote its first file
        strangers = [path.name for path in set(folder.iterdir()) - partial if path.name != LOCK]
        if strangers:
            raise UserError(
                f"run_dir={folder} holds other files ({', '.join(sorted(strangers)[:3])}); "
                "choose another run_dir="
            )
        return
    if _noted(folder).get("identity") != identity:
        raise UserError(
            f"run_dir={folder} holds another evaluation; "
            "choose another run_dir=, or overwrite=true to replace it"
        )
    if CLEARING not in _noted(folder) and figures(folder):
        raise UserError(
            f"run_dir={folder} holds this evaluation already, see {folder / 'report.html'}; "
            "overwrite=true runs it again"
        )


def write_queries(
    path: Path,
    counterfactuals: Mapping[str, Rows],
    tables: Mapping[str, Mapping[str, Tensor]],
    names: Mapping[int, int | str],
    class_names: Sequence[str],
) -> None:
    """One row per counterfactual: method, query, image, source, target, valid, and every metric.

    Args:
        path: of the CSV.
        counterfactuals, tables: by method; a table holds a metric's values (N,).
        names: of the image of each query; one without a name is called by the query's number.
        class_names: of the K classes.
    """
    metrics = list(dict.fromkeys(name for table in tables.values() for name in table))
    with (
        whole(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["method", *NAMED, *metrics])
        for method, cf in counterfactuals.items():
            undefined = torch.full((len(cf),), math.nan)
            table = {metric: tables[method].get(metric, undefined) for metric in metrics}
            for row in named_rows(cf, table, names, class_names)[1]:
                values = [f"{value:.6g}" for value in row[len(NAMED) :]]
                writer.writerow([method, *row[: len(NAMED)], *values])


def named_rows(
    cf: Rows,
    table: Mapping[str, Tensor],
    names: Mapping[int, int | str],
    class_names: Sequence[str],
) -> tuple[list[str], list[list[Any]]]:
    """The heads and rows of a table for people: query, image, source, target, valid, then the metrics."""
    facts = (cf.query.tolist(), cf.source.tolist(), cf.target.tolist(), cf.valid.tolist())
    columns = [column.tolist() for column in table.values()]
    rows = [
        [query, names.get(query, query), class_names[source], class_names[target], int(valid), *values]
        for query, source, target, valid, *values in zip(*facts, *columns, strict=True)
    ]
    return [*NAMED, *table], rows
