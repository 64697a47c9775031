"""The images of a set that a CSV describes: path, label, split and attributes of each."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.data.files import find_file
from counterfoil.util.csv_table import CsvTable, Line, note_ignored, read_csv

PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""The splits, by the names that folders and tables give them."""
_COLUMNS = ("path", "label", "split")
YES_NO = {"1": 1, "1.0": 1, "true": 1, "yes": 1, "0": 0, "0.0": 0, "-1": 0, "-1.0": 0, "false": 0, "no": 0}
"""Cells of an attribute, and what they say."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
"""How a label that is a number is written."""
_WHOLE = re.compile(r"([+-]?\d+)(\.0+)?", re.ASCII)


class Row(NamedTuple):
    """One image of the set: where it lies, what it shows, and the split it is in."""

    path: str
    label: str
    part: str | None
    attributes: tuple[int, ...] = ()


def csv_rows(table: Path, root: Path, attributes: Sequence[str] = ()) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of a CSV in its order, and the names of its attributes.

    Further columns are attributes where every cell is 0 or 1 (or -1, true, false, yes, no), else they are
    ignored with a note. Labels that are whole numbers throughout are written without decimals. A row that
    stands twice is taken once, with a warning.

    Args:
        table: the file.
        root: where its paths begin.
        attributes: columns that must be attributes.

    Raises:
        UserError: a table that cannot be read, a row without path or label, of an unknown split, of an
            attribute that is neither 0 nor 1, or that contradicts another row.
    """
    where = f"data.csv={table}"
    read = read_csv(table, where, _COLUMNS, "path,label[,split]")
    for column in ("path", "label"):
        if column not in read.columns:
            raise UserError(
                f"{where} has the columns {', '.join(read.columns)}; expected path, label and perhaps split "
                f"and attributes: rename one to {column}"
            )
    names = _attributes(read, where, attributes)
    labels = {line["label"] for line in read.lines}
    whole = all(_WHOLE.fullmatch(label) for label in labels)
    _refuse_missing(read.lines, labels, where)
    rows = [_row(line, names, whole, root, f"{where}, line {line.number}") for line in read.lines]
    return _once(rows, where), names


def _refuse_missing(lines: Sequence[Line], labels: set[str], where: str) -> None:
    """Refuse "nan" among numbers: a label that was not known when the table was written."""
    known = {label for label in labels if label.lower() != "nan"}
    if known and known != labels and all(NUMBER.fullmatch(label) for label in known):
        number = next(line.number for line in lines if line["label"] not in known)
        raise UserError(f"{where}, line {number}: the label is nan, the others are numbers; remove such rows")


def _attributes(read: CsvTable, where: str, wanted: Iterable[str]) -> tuple[str, ...]:
    names, ignored = [], []
    for name in read.columns:
        if name in _COLUMNS:
            continue
        odd = next((line for line in read.lines if line[name].lower() not in YES_NO), None)
        if odd is None:
            names.append(name)
        elif name in wanted:
            raise UserError(f"{where}, line {odd.number}: {name} is {odd[name]!r}, expected 0 or 1")
        else:
            ignored.append(f"{name} ({odd[name][:20]!r} in line {odd.number} is not 0 or 1)")
    note_ignored(where, ignored)
    return tuple(names)


def _row(line: Line, attributes: Sequence[str], whole: bool, root: Path, where: str) -> Row:
    for column in ("path", "label"):
        if not line[column]:
            raise UserError(f"{where} has no {column}")
    part = line.cells.get("split")
    if part is not None and part.lower() not in PARTS:
        raise UserError(f"{where}: split is {part!r}, expected train, val or test")
    number = _WHOLE.fullmatch(line["label"]) if whole else None
    return Row(
        str(find_file(line["path"], [root], where)),
        number[1] if number else line["label"],
        part and PARTS[part.lower()],
        tuple(YES_NO[line[name].lower()] for name in attributes),
    )


def _once(rows: Sequence[Row], where: str) -> list[Row]:
    """Each image once; raises UserError where two rows say different things of it."""
    by_path: dict[str, Row] = {}
    for row in rows:
        other = by_path.setdefault(row.path, row)
        if other != row:
            what = next(
                name for name in ("label", "part", "attributes") if _of(row, name) != _of(other, name)
            )
            raise UserError(
                f"{where}: {Path(row.path).name} stands twice, its {what.replace('part', 'split')} once "
                f"{_of(other, what)} and once {_of(row, what)}; remove one"
            )
    if len(by_path) < len(rows):
        warnings.warn(
            f"{where}: {len(rows) - len(by_path)} of {len(rows)} rows stand twice; each image is taken once",
            CounterfoilWarning,
            stacklevel=2,
        )
    return list(by_path.values())


def _of(row: Row, name: str) -> object:
    return getattr(row, name)
