"""The one table maker: rows of entries as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from counterfoil.core.entry import Entry, label
from counterfoil.util.record import write_text

Rows = Mapping[str, Mapping[str, Entry]]
"""Row (a method, ...) -> column (a metric, an option's value, ...) -> entry; cells may be missing."""

MISSING = "–"
_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {c: "\\" + c for c in "&%$#_{}"}
_SIGNS = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--", "∞": r"$\infty$", "λ": r"$\lambda$"}


@dataclass(frozen=True)
class Table:
    """Rows of entries under named columns.

    Attributes:
        rows: row -> column -> entry.
        columns: those shown, in order; None: all that any row has.
        marked: column -> row -> "best" or "tied"; marked cells are bold.
        corner: the head of the first column.
        note: what to know about the figures, one paragraph below the table.
        links: row -> the page of the run that it stands for, relative to that of the table.
    """

    rows: Rows
    columns: Sequence[str] | None = None
    marked: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    corner: str = "method"
    note: str = ""
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The columns shown."""
        if self.columns is not None:
            return list(self.columns)
        return list(dict.fromkeys(column for row in self.rows.values() for column in row))

    def head(self, column: str) -> str:
        """`Judge agreement % ↑`: label, unit and direction, as the entries declare them."""
        first = next((row[column] for row in self.rows.values() if column in row), Entry(None))
        return " ".join(
            filter(None, (first.label or label(column), first.unit, arrow(first.higher_is_better)))
        )

    def bold(self, row: str, column: str) -> bool:
        """Whether the cell is marked as best or tied with the best."""
        return row in self.marked.get(column, {})

    def markdown(self) -> str:
        """One line per row, figures to the right: `value [low, high]`."""
        lines = [[self.corner, *map(self.head, self.names)], ["---", *["---:"] * len(self.names)]]
        for row, cells in self.rows.items():
            texts = [(cell(cells.get(name)), self.bold(row, name)) for name in self.names]
            lines.append(
                [row.replace("|", "\\|"), *(f"**{text}**" if bold else text for text, bold in texts)]
            )
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def latex(self) -> str:
        """A booktabs tabular, everything escaped; the note stands in a comment."""
        heads = " & ".join(map(tex, (self.corner, *map(self.head, self.names))))
        lines = [f"% {self.note}"] if self.note else []
        lines += [rf"\begin{{tabular}}{{l{'r' * len(self.names)}}}", r"\toprule", rf"{heads} \\", r"\midrule"]
        for row, cells in self.rows.items():
            texts = [(tex(cell(cells.get(name))), self.bold(row, name)) for name in self.names]
            figures = (rf"\textbf{{{text}}}" if bold else text for text, bold in texts)
            lines.append(rf"{' & '.join((tex(row), *figures))} \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])

    def csv(self) -> str:
        """One line per row and column: value, low, high, n, seeds, unit; shares in [0, 1]."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow([self.corner, "column", "value", "low", "high", "n", "seeds", "unit"])
        for row, cells in self.rows.items():
            for name in self.names:
                if name in cells:
                    e = cells[name]
                    writer.writerow([row, name, *map(_plain, (e.value, e.low, e.high)), e.n, e.seeds, e.unit])
        return buffer.getvalue()

    def save(self, stem: Path) -> list[Path]:
        """Write `<stem>.md`, `.tex` and `.csv`."""
        stem.parent.mkdir(parents=True, exist_ok=True)
        texts = {".md": self.markdown(), ".tex": self.latex(), ".csv": self.csv()}
        for ending, text in texts.items():
            write_text(stem.with_name(stem.name + ending), text)
        return [stem.with_name(stem.name + ending) for ending in texts]


def arrow(higher_is_better: bool | None) -> str:
    """↑ where more is better, ↓ where less is, "" where neither is."""
    return "" if higher_is_better is None else "↑" if higher_is_better else "↓"


def cell(entry: Entry | None) -> str:
    """`value [low, high]` in the entry's unit; a dash for what is not known."""
    if entry is None or entry.value is None:
        return MISSING
    return f"{number(entry.value, entry.unit)} {interval(entry)}".strip()


def interval(entry: Entry) -> str:
    """`[low, high]`, "" where the entry holds no interval."""
    if entry.low is None or entry.high is None:
        return ""
    return f"[{number(entry.low, entry.unit)}, {number(entry.high, entry.unit)}]"


def number(value: float | None, unit: str = "") -> str:
    """A figure with two or three significant digits, shares in per cent; a dash for what is not known."""
    if value is None or not math.isfinite(value):
        return MISSING
    scaled = value * (100 if unit == "%" else 1)
    if 0 < abs(scaled) < 0.00095 and unit != "%":
        return f"{scaled:.1e}".replace("e-0", "e-")
    return f"{scaled:,.{decimals(scaled, unit)}f}"


def decimals(scaled: float, unit: str = "") -> int:
    """Digits after the point for a figure in its unit."""
    size = abs(scaled)
    if unit == "%":
        return 1 if size < 99.95 else 0
    if size >= 99.5 or size == 0:
        return 0
    return next(n for n, least in ((1, 9.95), (2, 0.9995), (3, 0.0095), (4, 0)) if size >= least)


def doubts(rows: Rows) -> list[str]:
    """Each reason for which figures are not ranked once: `Grey, not ranked: <reason>.`"""
    told = dict.fromkeys(e.doubt for row in rows.values() for e in row.values() if e.doubt and e.known)
    return [f"Grey, not ranked: {reason}." for reason in told]


def tex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_SPECIAL.get(c) or _SIGNS.get(c) or c for c in text)


def _plain(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"
