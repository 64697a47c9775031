"""Published figures: one JSON per study in results/, and RESULTS.md, which is rendered from them.

In the template results/RESULTS.md.j2:

    table(study, view, title)         a table of the study as Markdown
    cell(study, view, row, column)    `value [low, high]`
    value(study, view, row, column)   the value alone, without its unit
    command(study)                    what makes it
    note(study, key)                  a figure that stands in no table: of settings tried, of one seed
    measured(study)                   what figures that were not made by this command were measured at
    bold(study)                       what bold figures of its tables mean

The table of claims is a template of its own, results/claims.md.j2, which that one includes.
"""

from __future__ import annotations

import json
import re
import textwrap
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from counterfoil.core.entry import Entry
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.report import table as maker
from counterfoil.report.plot import families, save_svg
from counterfoil.report.view.base import table_from_dict
from counterfoil.util.naming import file_name
from counterfoil.util.record import read_json, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "results"
FIGURES = "figures.yaml"
"""The pictures that join several studies; no study of its own."""
TEMPLATE = "RESULTS.md.j2"
WIDTH = 110
MACROS = ("table", "cell", "value", "note", "command", "measured", "bold", "sentences")


def publish(run: Path, results: Path) -> Path:
    """Copy the figures of a study's folder to results/<study>.json.

    Notes that lie there stay, as no run makes them, and are named in a warning: they tell of the run before.

    Raises:
        UserError: there is no study.json, or a job of it failed.
    """
    path = run / "study.json"
    if not path.is_file():
        raise UserError(f"{path} does not exist; give the folder of a study, such as runs/mnist")
    content = read_json(path, "figures of a study; run the study again")
    failed = [job["job"] for job in content["jobs"] if job["error"]]
    if failed:
        raise UserError(f"{path}: job {failed[0]} failed; run the study again before it is published")
    target = results / f"{file_name(content['study'], 'study')}.json"
    notes = json.loads(target.read_text()).get("notes") if target.is_file() else None
    if notes:
        warnings.warn(
            f"{target}: notes stay as the run before left them, look whether each still holds: "
            f"{', '.join(notes)}",
            CounterfoilWarning,
            stacklevel=2,
        )
        content["notes"] = notes
    write_text(target, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return target


def render(results: Path) -> Path:
    """Write RESULTS.md beside the folder of results, and the pictures of `FIGURES` into docs/; its path."""
    path = results.parent / "RESULTS.md"
    write_text(path, rendered(results))
    for name, figure in drawn(results).items():
        for dark in (False, True):
            save_svg(figure, results.parent / "docs" / f"{name}{'-dark' if dark else ''}.svg", dark)
    return path


def drawn(results: Path) -> dict[str, Figure]:
    """Pictures that join several studies, by name, as results/figures.yaml tells them.

    Each is {x, y, view, kinds: {kind: {study: [method, ...]}}, points: {study: [method, ...]}}: curves of a
    view of the studies, a colour for each kind of method, and methods without a curve.

    Raises:
        UserError: a study, view or method is not published.
    """
    published, path = Published(results), results / FIGURES
    plans: Any = OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else {}
    figures: dict[str, Figure] = {}
    for name, plan in plans.items():
        view = plan["view"]
        kinds = {
            kind: {n: published.curve(study, view, n) for study, names in methods.items() for n in names}
            for kind, methods in plan["kinds"].items()
        }
        points = {
            n: published.curve(study, view, n)[0] for study, names in plan["points"].items() for n in names
        }
        figures[name] = families(kinds, points, plan["x"], plan["y"])
    return figures


def rendered(results: Path) -> str:
    """RESULTS.md as its template and the published figures give it.

    Raises:
        UserError: the template names a study, view, row or column that results/ does not hold.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(results)
    environment = Environment(
        loader=loader, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    text: str = environment.get_template(TEMPLATE).render(Published(results).macros)
    return filled(text)


def filled(markdown: str) -> str:
    """Paragraphs in lines of at most 110 columns; code, tables, pictures and headings as they are."""
    code = r"(^```.*?^```$)"
    parts = re.split(code, markdown, flags=re.M | re.S)
    return "".join(part if part.startswith("```") else _filled(part) for part in parts)


def _filled(text: str) -> str:
    def fill(found: re.Match[str]) -> str:
        return textwrap.fill(found[0], WIDTH, break_long_words=False, break_on_hyphens=False)

    return re.sub(r"(?:^(?![\s|#<!]|[*-] ).+\n?)+(?<!\n)", fill, text, flags=re.M)


class Published:
    """The figures in a folder of results, as the macros of the template read them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.study = cache(self._read)

    @property
    def macros(self) -> dict[str, Callable[..., str]]:
        """What the template can call."""
        return {name: getattr(self, name) for name in MACROS}

    def table(self, study: str, view: str, title: str | None = None) -> str:
        """A table as Markdown, without a line break at its end."""
        found = self._table(study, view, title)
        made = table_from_dict(found)
        heads = [made.corner, *map(made.head, made.names)]
        lines = [heads, ["---", *["---:"] * len(made.names)]]
        for row, cells in found["rows"].items():
            texts = [(_written(cells.get(name)), made.bold(row, name)) for name in made.names]
            lines.append([row, *(f"**{text}**" if bold else text for text, bold in texts)])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def cell(self, study: str, view: str, row: str, column: str, title: str | None = None) -> str:
        """A figure with its interval."""
        return _written(self._entry(study, view, row, column, title))

    def value(self, study: str, view: str, row: str, column: str, title: str | None = None) -> str:
        """A figure without its interval."""
        return self.cell(study, view, row, column, title).split(" [")[0]

    def note(self, study: str, key: str) -> str:
        """A figure that stands in no table of the study."""
        return _written(_get(self.study(study).get("notes", {}), key, f"{study}: note"))

    def command(self, study: str) -> str:
        """The command of a study."""
        return str(self.study(study)["command"])

    def measured(self, study: str) -> str:
        """What the figures of a study were measured at; empty where its command has made them."""
        told: Mapping[str, str] = self.study(study).get("measured", {})
        return f"Measured at commit {told['commit']}, not run again since." if told else ""

    def bold(self, study: str) -> str:
        """How the best figures of a table were chosen: as it was decided then, or by paired differences."""
        if "measured" in self.study(study):
            return "Bold: the best, and those whose interval overlaps its own, as decided then."
        return "Bold: the best, and those that no paired difference over the common queries tells from it."

    def curve(self, study: str, view: str, method: str) -> list[dict[str, Entry]]:
        """The points of a method's curve, as a `Frontier` keeps them."""
        found = _get(self.study(study)["views"], view, f"{study}: view")
        curves = _get(found, "curves", f"{study}, {view}")
        points = _get(curves, method, f"{study}, {view}: curve")
        return [{metric: Entry.from_dict(entry) for metric, entry in point.items()} for point in points]

    def sentences(self, study: str, view: str) -> str:
        """The texts that a `Sentences` view keeps, as Markdown; those that are not valid say so."""
        rows = _get(_get(self.study(study)["views"], view, f"{study}: view"), "sentences", f"{study}, {view}")
        lines = [list(rows[0]), ["---"] * len(rows[0])]
        lines += [[_sentence(told) for told in row.values()] for row in rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _read(self, study: str) -> dict[str, Any]:
        path = self.folder / f"{study}.json"
        try:
            content: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}); publish the study first") from error
        return content

    def _table(self, study: str, view: str, title: str | None) -> dict[str, Any]:
        tables = _get(self.study(study)["views"], view, f"{study}: view")["tables"]
        found: dict[str, Any] = _get(tables, title or next(iter(tables)), f"{study}, {view}: table")
        return found

    def _entry(self, study: str, view: str, row: str, column: str, title: str | None) -> dict[str, Any]:
        where = f"{study}, {view}"
        cells = _get(self._table(study, view, title)["rows"], row, f"{where}: row")
        found: dict[str, Any] = _get(cells, column, f"{where}, {row}: column")
        return found


def _sentence(told: str | Mapping[str, Any]) -> str:
    text = told if isinstance(told, str) else f"{told['text']}{'' if told['valid'] else ' (not valid)'}"
    return re.sub(r"([\\|*_<>`~\[\]$])", r"\\\1", text)


def _written(entry: Mapping[str, Any] | None) -> str:
    """A cell's text: as it was measured and written then, or as the table maker writes it."""
    if entry is None:
        return ""
    return str(entry["text"]) if "text" in entry else maker.cell(Entry.from_dict(entry))


def _get(mapping: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in mapping:
        raise UserError(f"results: {what} {name} is not published; there are {', '.join(mapping)}")
    return mapping[name]
