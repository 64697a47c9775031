"""The joined jobs of a study: study.json, tables, the page, and one for each method."""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.report.jobs import Job, read_job
from counterfoil.report.method_page import write_method_pages
from counterfoil.report.page import page_template
from counterfoil.report.plot import DARK_SERIES, LIGHT_SERIES
from counterfoil.report.table import Table, cell
from counterfoil.report.view.base import Shown, View
from counterfoil.report.words import compared
from counterfoil.util.naming import file_name
from counterfoil.util.record import versions, write_json, write_text

PICTURES, TABLES = "pictures", "tables"


@dataclass(frozen=True)
class Study:
    """What a study yaml says of its result.

    Attributes:
        name, title: of the study, for files and for people.
        command: what reproduces it.
        views: by name, in the order of the page.
    """

    name: str
    title: str
    command: str
    views: Mapping[str, View]


@dataclass(frozen=True)
class Outcome:
    """How a job ended: its folder, its overrides, and the error that it ended with."""

    folder: Path
    overrides: Sequence[str]
    error: str | None = None


def join(study: Study, outcomes: Sequence[Outcome], folder: Path) -> Path:
    """Show every view the finished jobs, and write study.json, tables/, methods/ and report.html.

    Returns the page, report.html.

    A view that needs a job that failed is left out, and says so on the page.

    Raises:
        UserError: no job has finished.
    """
    jobs = [read_job(outcome.folder) for outcome in outcomes if not outcome.error]
    if not jobs:
        raise UserError(f"{folder}: none of {len(outcomes)} jobs finished: {outcomes[0].error}")
    for name in study.views:
        file_name(name, "study.views")
    shown, missed = _views(study, jobs, folder)
    for parts in shown.values():
        for title, table in parts.tables.items():
            table.save(folder / TABLES / title.replace(" ", "-").replace("/", "-"))
    content = {
        "study": study.name,
        "title": study.title,
        "command": study.command,
        **facts(jobs),
        "jobs": _told(outcomes),
        "versions": versions(),
        "weights": weights(jobs),
        "views": {name: part.as_dict(folder) for name, part in shown.items()},
        "missing": missed,
    }
    write_json(folder / "study.json", content)
    tables = {title: table for part in shown.values() for title, table in part.tables.items()}
    links = write_method_pages(study.title, tables, jobs, folder)
    page = folder / "report.html"
    write_text(page, _page(content, shown, {job.folder.name: list(job.methods) for job in jobs}, links))
    return page


def facts(jobs: Sequence[Job]) -> dict[str, Any]:
    """Seeds and numbers of queries of the jobs, each once."""
    return {
        "seeds": sorted({job.seed for job in jobs}),
        "n": sorted({int(job.option("n")) for job in jobs}),
    }


def weights(jobs: Sequence[Job]) -> dict[str, str]:
    """SHA-256 of every file of weights that a job used, by its name; warns where it is not one file.

    Of two files of one name the later job's is called by its folder as well.
    """
    found: dict[str, str] = {}
    first: dict[str, str] = {}
    for job in jobs:
        for name, value in sorted(job.summary.get("weights", {}).items()):
            if found.setdefault(name, value) == value:
                first.setdefault(name, job.folder.name)
                continue
            found[f"{name} of job {job.folder.name}"] = value
            warnings.warn(
                f"jobs {first[name]} and {job.folder.name} read different weights called {name}; if it was "
                "trained anew between them, overwrite=true runs all jobs again",
                CounterfoilWarning,
                stacklevel=2,
            )
    return found


def _views(study: Study, jobs: Sequence[Job], folder: Path) -> tuple[dict[str, Shown], dict[str, str]]:
    shown, missed = {}, {}
    for name, view in study.views.items():
        try:
            shown[name] = view.show(jobs, folder / PICTURES, name)
        except UserError as error:
            missed[name] = str(error)
    return shown, missed


FOLDERS = re.compile(r"(store|run_dir|[\w.]*root)=")
"""Overrides that name a folder."""


def _told(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """What sets each job apart: the overrides that not all of them share, but no folder of this machine."""
    shared = (
        set.intersection(*(set(outcome.overrides) for outcome in outcomes)) if len(outcomes) > 1 else set()
    )
    return [
        {
            "job": outcome.folder.name,
            "grid": [part for part in outcome.overrides if part not in shared and not FOLDERS.match(part)],
            "error": outcome.error,
        }
        for outcome in outcomes
    ]


def _page(
    content: Mapping[str, Any],
    shown: Mapping[str, Shown],
    methods: Mapping[str, list[str]],
    links: Mapping[str, str],
) -> str:
    views = [(name, _tables(part, links), _pictures(part), _texts(part)) for name, part in shown.items()]
    text: str = page_template("study.html").render(
        **{key: value for key, value in content.items() if key != "views"},
        views=views,
        methods=methods,
        series=(LIGHT_SERIES, DARK_SERIES),
    )
    return text


def _tables(shown: Shown, links: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"title": title, **_rows(table, links)} for title, table in shown.tables.items()]


def _rows(table: Table, links: Mapping[str, str]) -> dict[str, Any]:
    """A row leads where its table says, else to the page of the method that it is named after."""
    rows = [
        (
            row,
            table.links.get(row) or links.get(row),
            [(cell(cells.get(name)), table.bold(row, name)) for name in table.names],
        )
        for row, cells in table.rows.items()
    ]
    return {"heads": [table.corner, *map(table.head, table.names)], "rows": rows, "note": table.note}


def _texts(shown: Shown) -> list[tuple[str, list[tuple[str, bool, Any]]]]:
    """The view's sentences: each factual, and every method's counterfactual with what comes in marked."""
    return [
        (
            row["factual"],
            [
                (name, told["valid"], compared(row["factual"].split(), told["text"].split()).counterfactual)
                for name, told in row.items()
                if name != "factual"
            ],
        )
        for row in shown.content.get("sentences", [])
    ]


def _pictures(shown: Shown) -> list[Any]:
    """The view's pictures as elements that hold them; of a figure also the one for dark pages."""
    from markupsafe import Markup

    found = []
    for name, path in shown.files.items():
        if name.endswith("-dark"):
            continue
        if name in shown.inline:
            found.append(Markup('<span class="plot">{}</span>').format(Markup(shown.inline[name])))
            continue
        dark = shown.files.get(f"{name}-dark")
        source = (
            Markup('<source media="(prefers-color-scheme: dark)" srcset="{}">').format(_data(dark))
            if dark
            else ""
        )
        found.append(Markup('<picture>{}<img alt="{}" src="{}"></picture>').format(source, name, _data(path)))
    return found


def _data(path: Path) -> str:
    media = "image/svg+xml" if path.suffix == ".svg" else "image/png"
    return f"data:{media};base64,{base64.b64encode(path.read_bytes()).decode()}"
