"""Peak memory and time of whole evaluations, each in a fresh process: is memory flat, time linear?

The last but one is then cut off and gone on with, scored again, and joined to a study.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

from processes import BASE, Run, evaluate, told_weights
from timing import RECORDS, Options, Row, Times

from counterfoil.core.entry import Entry

DEFAULTS = Options(queries=(100, 1000, 10000), steps=1, repeats=1)
JOINED = (
    "metric=[success,distances]",
    "+study.name=memory",
    "+study.title=Memory",
    "+study.views={methods: {_target_: counterfoil.report.view.leaderboard.Leaderboard}, "
    "picture: {_target_: counterfoil.report.view.picture.Picture}}",
    "seed=0,1",
    "-m",
)
"""Two jobs and their study in one process."""
MEBIBYTE = 2**20


def rows(options: Options) -> Iterator[Row]:
    """An evaluation for each number of queries; then what else can be done with the last but one."""
    folder = RECORDS / "memory"
    shutil.rmtree(folder, ignore_errors=True)
    given = [*BASE, f"threads={options.threads}", f"device={options.device}", *options.overrides]
    before: tuple[int, Run] | None = None
    for n in options.queries:
        run_dir = folder / f"run-{n}"
        run = evaluate(folder, str(n), *given, f"n={n}", f"run_dir={run_dir}")
        facts = {} if before is None else exponents(*before, n, run)
        yield row(f"{n:,} queries", n, run, run_dir / "report.html", facts)
        before = n, run
    n = options.queries[-2:][0]
    run_dir = folder / f"run-{n}"
    cut_off(run_dir)
    run = evaluate(folder, "again", *given, f"n={n}", f"run_dir={run_dir}")
    yield row(f"{n:,}, half of them there already", n, run, run_dir / "report.html")
    stored = f"counterfactuals={run_dir}"
    run = evaluate(folder, "scored", *given, stored, f"run_dir={folder / 'scored'}")
    yield row(f"{n:,}, scored again", n, run, folder / "scored" / "report.html")
    run = evaluate(folder, "joined", *given, stored, f"run_dir={folder / 'joined'}", *JOINED)
    yield row(f"{n:,}, a study of two jobs", n, run, folder / "joined" / "report.html")


def weights(options: Options) -> dict[str, str]:
    """Sha256 of each file of weights, as the last run tells them."""
    return told_weights(RECORDS / "memory" / f"run-{options.queries[-1]}")


def row(name: str, n: int, run: Run, page: Path, facts: dict[str, Entry] | None = None) -> Row:
    """What a run needed: seconds per query, peaks so far by stage, and the size of its page."""
    columns = {f"peak after {stage}": told["mb"] for stage, told in run.stages.items() if stage != "end"}
    columns = {"peak": run.peak, **columns, "page": page.stat().st_size / MEBIBYTE}
    found = {key: Entry(value, n=n, unit="MB", label=key) for key, value in columns.items()}
    return Row(name, {"ours": Times([run.wall / n], [run.cpu / n])}, facts={**found, **(facts or {})})


def exponents(n_before: int, before: Run, n: int, run: Run) -> dict[str, Entry]:
    """b of time = a n^b between two sizes, without imports and models: 1 is linear."""
    found = {}
    for clock in ("wall", "cpu"):
        ratio = run.after_start(clock) / before.after_start(clock)
        name = f"exponent of {clock} time"
        found[name] = Entry(math.log(ratio) / math.log(n / n_before), n=n, label=name)
    return found


def cut_off(run_dir: Path) -> None:
    """Leave a run as a kill in mid-search would: half of its batches, and no figures."""
    (run_dir / "metrics.json").unlink()
    for file in sorted((run_dir / "counterfactuals").glob("*/*.safetensors"))[1::2]:
        file.unlink()
