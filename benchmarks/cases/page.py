"""The page of a run in a headless Chromium: how long it takes to open, and to answer a choice.

A choice is timed until the next frame is drawn. Six quick methods; overrides are those of evaluate.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from browser import Page, browser
from processes import evaluate, told_weights
from timing import RECORDS, Options, Row, Times

from counterfoil.core.entry import Entry

DEFAULTS = Options(queries=(300, 2000), steps=1, repeats=5)
BASE = (
    "experiment=mnist",
    "explainer=[nearest,random_image,unchanged,pgd,lso,iso]",
    "metric=[success,distances,steps,cost]",
    "logger=none",
    "store=weights",
)
MEBIBYTE = 2**20
CHOICES = """(async () => {
const form = document.getElementById("filters"), times = {filter: [], sort: [], query: []};
const drawn = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
const timed = async (kind, act) => {
  await drawn();
  const since = performance.now();
  act();
  await drawn();
  times[kind].push(performance.now() - since);
};
const choose = (name, value) => {
  form.elements[name].value = value;
  form.dispatchEvent(new Event("input"));
};
for (const name of ["source", "target", "method", "valid", "judge"]) {
  for (const value of [...form.elements[name].options].map((option) => option.value).reverse()) {
    await timed("filter", () => choose(name, value));
  }
}
for (const part of ["1", "12", "123", ""]) await timed("filter", () => choose("image", part));
for (const key of [...document.querySelectorAll("#rows [data-sort]")].map((button) => button.dataset.sort)) {
  await timed("sort", () => document.querySelector(`#rows [data-sort="${key}"]`).click());
}
for (let n = 0; n < 50; n += 5) await timed("query", () => document.querySelectorAll("#rows a")[n].click());
return times;
})()"""


def rows(options: Options) -> Iterator[Row]:
    """An evaluation for each number of queries, and its page opened `repeats` times."""
    folder = RECORDS / "page"
    for n in options.queries:
        run_dir = folder / f"run-{n}"
        shutil.rmtree(run_dir, ignore_errors=True)
        given = [*BASE, f"threads={options.threads}", f"device={options.device}", *options.overrides]
        run = evaluate(folder, str(n), *given, f"n={n}", f"run_dir={run_dir}")
        with browser() as tab:
            opened, times = look(tab, run_dir / "report.html", options.repeats)
        written = run.stages["page"]["cpu"] - run.stages["metrics"]["cpu"]
        yield row(f"{n:,} queries x 6 methods", n, opened, times, sizes(run_dir), written)


def weights(options: Options) -> dict[str, str]:
    """Sha256 of each file of weights, as the last run tells them."""
    return told_weights(RECORDS / "page" / f"run-{options.queries[-1]}")


def look(tab: Page, page: Path, repeats: int) -> tuple[list[float], Mapping[str, list[float]]]:
    """Seconds until the page is loaded and its table there, each time; then milliseconds per choice."""
    opened = []
    for _ in range(repeats):
        tab.open(page.as_uri())
        assert tab.run("document.querySelectorAll('#rows tbody tr').length") > 0, "the page shows no rows"
        opened.append(tab.run("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1e3)
    times: Mapping[str, list[float]] = tab.run(CHOICES)
    assert not tab.errors, tab.errors
    return opened, times


def sizes(run_dir: Path) -> dict[str, float]:
    """MB of the page, and of the folder beside it."""
    beside = sum(path.stat().st_size for path in (run_dir / "report").glob("*"))
    return {"page": (run_dir / "report.html").stat().st_size / MEBIBYTE, "beside it": beside / MEBIBYTE}


def row(
    name: str,
    n: int,
    opened: Sequence[float],
    times: Mapping[str, Sequence[float]],
    held: Mapping[str, float],
    written: float,
) -> Row:
    """Opening, in ms; median and longest time of each kind of choice; sizes; CPU seconds of writing it."""
    facts: dict[str, Any] = {}
    for kind, found in times.items():
        for part, value in (("median", median(found)), ("longest", max(found))):
            facts[f"{kind}, {part}"] = Entry(value, n=len(found), unit="ms", label=f"{kind}, {part}")
    facts |= {key: Entry(value, n=n, unit="MB", label=key) for key, value in held.items()}
    facts["written"] = Entry(written, n=n, unit="CPU s", label="written")
    return Row(name, {"ours": Times(list(opened), list(opened))}, "opening", facts)
