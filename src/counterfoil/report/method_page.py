"""A study's page for each method: its figures of every table, its first counterfactuals, its options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from counterfoil.core.errors import UserError
from counterfoil.report.grid import data_uri, overview
from counterfoil.report.jobs import Job
from counterfoil.report.page import page_template
from counterfoil.report.plot import DARK_SERIES, LIGHT_SERIES
from counterfoil.report.table import Table, cell
from counterfoil.report.words import FIRST, Words, compared
from counterfoil.util.build import locate
from counterfoil.util.naming import file_name
from counterfoil.util.record import write_text

FOLDER = "methods"
_NAMED = re.compile(r"^(?:Departures|Source): .*?(?=\n\n|\n\w+:|\Z)", re.MULTILINE | re.DOTALL)


def write_method_pages(
    title: str, tables: Mapping[str, Table], jobs: Sequence[Job], folder: Path
) -> dict[str, str]:
    """Write methods/<name>.html for each method of the jobs.

    Args:
        title: of the study.
        tables: those of its views by title; a page shows the rows of its method.
        jobs: finished ones.
        folder: of the study.

    Returns:
        method -> its page, relative to the study's.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    template = page_template("method.html")
    links = {}
    for name in dict.fromkeys(name for job in jobs for name in job.methods):
        mine = [job for job in jobs if name in job.methods]
        options = mine[0].option(f"explainer.{name}") or {}
        text = template.render(
            study=title,
            method=name,
            told=_told(options),
            options=_plain(options),
            tables={label: _figures(table, name) for label, table in tables.items() if name in table.rows},
            pictures=_pictures(mine, name),
            texts=_texts(mine, name),
            jobs=[(job.folder.name, job.seed) for job in mine],
            series=(LIGHT_SERIES, DARK_SERIES),
        )
        links[name] = f"{FOLDER}/{file_name(name, 'explainer')}.html"
        write_text(folder / links[name], text)
    return links


def _told(options: Mapping[str, Any]) -> list[str]:
    """What the method's class says of itself: its first line, its departures and its source."""
    if not options.get("_target_"):
        return []
    text = inspect.getdoc(locate(options["_target_"], "explainer")) or ""
    return [" ".join(part.split()) for part in (text.split("\n\n")[0], *_NAMED.findall(text)) if part]


def _plain(options: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Options by their dotted names; the models that a method borrows are told by their names."""
    found: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, Mapping):
            borrowed = {"name": value["name"]} if "role" in value else value
            found |= _plain(borrowed, f"{before}{key}.")
        elif key != "_target_":
            found[f"{before}{key}"] = value
    return found


def _figures(table: Table, name: str) -> list[tuple[str, str, bool]]:
    """Column, the method's figure, and whether it is marked."""
    return [
        (table.head(column), cell(table.rows[name].get(column)), table.bold(name, column))
        for column in table.names
    ]


def _pictures(jobs: Sequence[Job], name: str) -> dict[str, str]:
    """The first counterfactuals of the first job of each seed, as they are: caption -> image."""
    found: dict[str, str] = {}
    for job in _firsts(jobs):
        try:
            rows = job.counterfactuals(name)
        except UserError:
            continue
        if not job.texts:
            found[f"seed {job.seed}"] = data_uri(overview(rows))
    return found


def _texts(jobs: Sequence[Job], name: str) -> dict[str, list[Words]]:
    """The same where the counterfactuals are read."""
    return {
        f"seed {job.seed}": [compared(one.split(), other.split()) for one, other in job.texts[name][:FIRST]]
        for job in _firsts(jobs)
        if name in job.texts
    }


def _firsts(jobs: Sequence[Job]) -> list[Job]:
    """The first job of each seed, by seed."""
    found = {job.seed: job for job in reversed(jobs)}
    return [found[seed] for seed in sorted(found)]
