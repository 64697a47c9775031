"""What a view of a study is: it reads finished jobs and gives tables, figures and pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from counterfoil.core.entry import Entry
from counterfoil.report.jobs import Job
from counterfoil.report.table import Table


@dataclass(frozen=True)
class Shown:
    """What a view has made.

    Attributes:
        tables: title -> table.
        files: pictures written below the study's folder, by name.
        content: what the JSON keeps besides the tables, such as the points of a curve.
        inline: `<svg>` elements, for the page in place of the files of their names, as their parts are links.
    """

    tables: Mapping[str, Table] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict)
    inline: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self, folder: Path) -> dict[str, Any]:
        """Plain values, safe for JSON; files relative to the folder."""
        tables = {title: table_as_dict(table) for title, table in self.tables.items()}
        files = {name: str(path.relative_to(folder)) for name, path in self.files.items()}
        return {"tables": tables, "files": files, **self.content}


class View(ABC):
    """One way to look at the joined jobs of a study."""

    @abstractmethod
    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """Tables and pictures of the jobs.

        Args:
            jobs: finished, at least one.
            folder: where pictures go.
            name: of the view in its study, which begins the names of its files.
        """


def table_as_dict(table: Table) -> dict[str, Any]:
    """A table for JSON."""
    rows = {
        row: {name: entry.as_dict() for name, entry in cells.items()} for row, cells in table.rows.items()
    }
    marked = {column: dict(rows) for column, rows in table.marked.items() if rows}
    return {
        "corner": table.corner,
        "columns": table.names,
        "rows": rows,
        "marked": marked,
        "note": table.note,
    }


def table_from_dict(content: Mapping[str, Any]) -> Table:
    """The table that `table_as_dict` gave."""
    rows = {
        row: {name: Entry.from_dict(e) for name, e in cells.items()} for row, cells in content["rows"].items()
    }
    return Table(rows, content["columns"], content["marked"], content["corner"], content["note"])
