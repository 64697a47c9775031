"""A run folder: one run at a time, resumed only by the same command, never overwritten unasked."""

from __future__ import annotations

import csv
import fcntl
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.util.record import whole, write_json

OURS = (
    "run.json",
    "counterfactuals",
    "metrics.json",
    "queries.csv",
    "report.html",
    "tables",
    "strips",
    "config.yaml",
    "query_set.csv",
    "csv",
    "wandb",
    "tensorboard",
)


@contextmanager
def claim(folder: Path, identity: str, overwrite: bool) -> Iterator[Path]:
    """Lock a run folder for a run with this identity; raises UserError where it belongs to another.

    A folder whose run of the same identity was cut off is taken up again; a finished one only with
    `overwrite`, which clears nothing in a folder that no run of ours has made. A `UserError` before the first
    counterfactual leaves the folder as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / ".lock"
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"run_dir={folder} is in use by another run; wait for it or choose another run_dir="
            ) from error
        try:
            if overwrite and (folder / "run.json").is_file():
                _clear(folder)
            _refuse_foreign(folder, identity)
            with _nothing_half_written(folder):
                _note(folder, identity=identity)
                yield folder
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def _nothing_half_written(folder: Path) -> Iterator[None]:
    """A mistake of the user's before the first counterfactual leaves the folder to the mended command."""
    try:
        yield
    except (UserError, OSError):
        if not (folder / "counterfactuals").exists():
            _clear(folder)
        raise


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
    """Whether a folder holds the whole of an evaluation."""
    return (folder / "metrics.json").is_file() and _noted(folder).get("identity") == identity


def _noted(folder: Path) -> dict[str, str]:
    path = folder / "run.json"
    noted: dict[str, str] = json.loads(path.read_text()) if path.is_file() else {}
    return noted


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
        strangers = [path.name for path in folder.iterdir() if path.name != ".lock"]
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
    if (folder / "metrics.json").is_file():
        raise UserError(
            f"run_dir={folder} holds this evaluation already, see {folder / 'report.html'}; "
            "overwrite=true runs it again"
        )


def write_queries(
    path: Path,
    counterfactuals: Mapping[str, Counterfactuals],
    tables: Mapping[str, Mapping[str, Tensor]],
    index: Sequence[int | str],
) -> None:
    """One row per counterfactual: method, query, image, source, target, valid, and every metric."""
    names = list(dict.fromkeys(name for table in tables.values() for name in table))
    with whole(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "query", "image", "source", "target", "valid", *names])
        for method, cf in counterfactuals.items():
            undefined = [math.nan] * len(cf)
            columns = [tables[method][n].tolist() if n in tables[method] else undefined for n in names]
            facts = (cf.query.tolist(), cf.source.tolist(), cf.target.tolist(), cf.valid.tolist())
            for query, source, target, valid, *values in zip(*facts, *columns, strict=True):
                shown = [f"{value:.6g}" for value in values]
                writer.writerow([method, query, index[query], source, target, int(valid), *shown])
