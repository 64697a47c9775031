"""Tables of text as people have them: any separator, spaces, quotes and byte-order marks of spreadsheets."""

from __future__ import annotations

import codecs
import csv
import io
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterfoil.core.errors import UserError, first_line

log = logging.getLogger("counterfoil")

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins like UTF-16's
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BINARY = {b"PK": "a workbook or archive", b"\xd0\xcf\x11\xe0": "a workbook", b"\x1f\x8b": "compressed"}
_SEPARATORS = (",", ";", "\t", "|")
_SHOWN = 5
_HEAD = 1 << 16


@dataclass(frozen=True)
class Line:
    """A row of a table: the number of its first line in the file, and its cells by column, trimmed."""

    number: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """The text of a cell, "" where it is empty or the column is not there."""
        return self.cells.get(column, "")


@dataclass(frozen=True)
class CsvTable:
    """A table with a header: its columns that have a name, and its rows that are not blank."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]


def read_csv(path: Path, where: str, known: Sequence[str], form: str) -> CsvTable:
    """Read a table with a header; columns in `known` are found in any case.

    Args:
        path: the file: UTF-8, or UTF-16 or UTF-32 with their marks; separated by comma, semicolon, tab or |.
        where: the option and the file, for messages.
        known: the columns that its reader looks for; at least one must be there.
        form: what the header should be, for messages, such as "path,label".

    Raises:
        UserError: a file that cannot be read, in another encoding, without a header or rows, or with a row of
            more cells than the header has.
    """
    text = _text(_content(path, where, form), where, path)
    body = re.sub(r"^(sep=.)?\n+", "", text)  # "sep=;" is a spreadsheet's own first line
    if not body.strip():
        raise UserError(f"{where} is empty: expected the columns {form}, found no rows")
    declared = text[4] if text.startswith("sep=") else None
    records = _records(body, declared or _separator(body, known), where, text[: -len(body)].count("\n"))
    names = _columns(next(records)[1], where, known, form)
    rows = tuple(_line(number, cells, names, where) for number, cells in records if any(cells))
    if not rows:
        raise UserError(f"{where}: expected the columns {form} and at least one row, found no rows")
    return CsvTable(tuple(name for name in names if name), rows)


def note_ignored(where: str, columns: Sequence[str]) -> None:
    """Say which columns of a table nothing reads."""
    if columns:
        more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
        log.info("%s: ignored the columns %s%s", where, ", ".join(columns[:_SHOWN]), more)


def _content(path: Path, where: str, form: str) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{where} cannot be read ({error}); expected a CSV with columns {form}") from error
    for start, kind in _BINARY.items():
        if raw.startswith(start):
            raise UserError(f"{where} is {kind}, no text; export it as CSV with columns {form}")
    return raw


def _text(raw: bytes, where: str, path: Path) -> str:
    encoding = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in raw[:2]:  # UTF-16 without its mark
        encoding = "utf-16-le" if raw[1:2] == b"\0" else "utf-16-be"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{where} {_encoded(raw, error, path)}") from error
    if "\0" in text:
        raise UserError(f"{where} holds zero bytes, so it is no text; export it as CSV in UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")


def _encoded(raw: bytes, error: UnicodeDecodeError, path: Path) -> str:
    """Which encoding a table that is not UTF-8 may be in, and how to change it."""
    line = raw.count(b"\n", 0, error.start) + 1
    found = f"is no {error.encoding.upper()}: line {line} has the byte {raw[error.start]:02x}"
    if error.encoding != "utf-8":
        return f"{found}; save it as UTF-8"
    guess = "cp1252"
    try:
        raw.decode(guess)
    except UnicodeDecodeError:
        guess = "latin-1"
    row = raw.decode(guess).splitlines()[line - 1].strip()[:40]
    return f"{found}, which reads {row!r} in {guess}; save it as UTF-8: iconv -f {guess} -t utf-8 {path.name}"


def _separator(body: str, known: Sequence[str]) -> str:
    """The separator that finds the most of the known columns in the header, then the most cells."""

    def fits(separator: str) -> tuple[int, int]:
        header = next(csv.reader(io.StringIO(body[:_HEAD]), delimiter=separator, skipinitialspace=True))
        return sum(_name(cell, known) in known for cell in header), len(header)

    return max(_SEPARATORS, key=fits)


def _name(cell: str, known: Sequence[str]) -> str:
    """A column's name; one that is looked for in its own spelling."""
    text = cell.strip().strip("\ufeff#").strip()
    return next((name for name in known if name == text.lower()), text)


def _columns(header: Sequence[str], where: str, known: Sequence[str], form: str) -> list[str]:
    names = [_name(cell, known) for cell in header]
    if not set(names) & set(known):
        raise UserError(
            f"{where}: its first line is {', '.join(names)[:80]!r}, no header; expected the columns {form}"
        )
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice:
        raise UserError(f"{where} has the column {twice} twice; rename or remove one")
    return names


def _records(body: str, separator: str, where: str, before: int) -> Iterator[tuple[int, list[str]]]:
    """The number of each record's first line, after `before` others, and its cells, trimmed."""
    reader = csv.reader(io.StringIO(body), delimiter=separator, skipinitialspace=True, strict=True)
    while True:
        number = before + reader.line_num + 1
        try:
            yield number, [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{where}, line {number} {_broken(error)}") from error


def _line(number: int, cells: Sequence[str], names: Sequence[str], where: str) -> Line:
    if any(cells[len(names) :]):
        raise UserError(
            f"{where}, line {number} has {len(cells)} cells, the header {len(names)}; "
            'put text that holds the separator in quotes: "a, b"'
        )
    return Line(number, {name: cell for name, cell in zip(names, cells, strict=False) if name})


def _broken(error: csv.Error) -> str:
    if "end of data" in str(error) or "field l" in str(error):
        return "opens a quote that nothing closes; close it, or double it where it is meant"
    return f"cannot be read ({first_line(error)}); quotes stand around a whole cell, doubled inside"
