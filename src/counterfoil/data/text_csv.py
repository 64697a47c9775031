"""The user's own texts: a CSV of texts and labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from counterfoil.core.errors import UserError
from counterfoil.data.folder import hashed_part
from counterfoil.data.rows import NUMBER, PARTS, YES_NO
from counterfoil.data.texts import TextData, Written
from counterfoil.util.csv_table import CsvTable, Line, note_ignored, read_csv

FORM = "text,label[,split][,attributes of 0/1]"
"""The columns of the table."""
_COLUMNS = ("text", "label", "split")


class TextCsv(TextData):
    """Texts of a CSV with the columns text, label, perhaps split (train, val, test), and attributes of 0/1.

    Without a split, each text goes where a hash of it sends it: 80 % train, 10 % val, 10 % test. Columns that
    are no attributes are left aside with a note.

    Args:
        csv: the table, separated by comma, semicolon, tab or |.
        others: see `TextData`.

    Raises:
        UserError: a table that cannot be read or lacks a column, a row without text or label, an unknown
            split, labels of one class alone, or a class without a training text.
    """

    name = "text_csv"

    def __init__(self, *, csv: str | Path | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._csv = csv

    @property
    def csv(self) -> Path:
        """The table, resolved; raises UserError where none was given."""
        if self._csv is None:
            raise UserError(f"data={self.name} needs data.csv=FILE, a table with the columns {FORM}")
        return Path(self._csv).expanduser().resolve()

    def written(self) -> tuple[list[Written], tuple[str, ...], tuple[str, ...]]:
        """The rows of the table in their order."""
        where = f"data.csv={self.csv}"
        read = read_csv(self.csv, where, _COLUMNS, FORM)
        for column in ("text", "label"):
            if column not in read.columns:
                raise UserError(
                    f"{where} has the columns {', '.join(read.columns)}; expected {FORM}: "
                    f"rename one to {column}"
                )
        own = _attributes(read, where)
        parts = [_part(line, f"{where}, line {line.number}") for line in read.lines]
        names = _class_names([line["label"] for line in read.lines], parts, where)
        rows = [
            Written(
                line["text"],
                names.index(line["label"]),
                part,
                tuple(YES_NO[line[one].lower()] for one in own),
            )
            for line, part in zip(read.lines, parts, strict=True)
        ]
        return rows, names, own


def _attributes(read: CsvTable, where: str) -> tuple[str, ...]:
    """Columns of which every cell is 0 or 1, or a word for it."""
    further = [name for name in read.columns if name not in _COLUMNS]
    own = tuple(name for name in further if all(line[name].lower() in YES_NO for line in read.lines))
    note_ignored(where, [name for name in further if name not in own])
    return own


def _part(line: Line, where: str) -> str:
    for column in ("text", "label"):
        if not line[column]:
            raise UserError(f"{where} has no {column}; fill it in, or remove the row")
    split = line["split"].lower()
    if not split and "split" not in line.cells:
        return hashed_part(line["text"])
    if split not in PARTS:
        raise UserError(f"{where}: split is {line['split']!r}, expected train, val or test")
    return PARTS[split]


def _class_names(labels: Sequence[str], parts: Sequence[str], where: str) -> tuple[str, ...]:
    """The labels in order, numbers by value and before words; each must have a training text."""
    found = set(labels)
    if len(found) < 2:
        raise UserError(f"{where}: all labels are {labels[0]!r}; expected texts of two or more classes")
    trained = {label for label, part in zip(labels, parts, strict=True) if part == "train"}
    if found - trained:
        raise UserError(
            f"{where}: no training text of the class {', '.join(sorted(found - trained))}; "
            "add texts or give splits"
        )
    return tuple(
        sorted(found, key=lambda one: (0, float(one), one) if NUMBER.fullmatch(one) else (1, 0.0, one))
    )
