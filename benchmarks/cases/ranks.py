"""The same evaluation shared by 1, 2 and 3 processes of a thread each: the same figures, how much sooner."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from processes import BASE, difference, evaluate, figures, told_weights
from timing import RECORDS, Options, Row, Times

from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError

DEFAULTS = Options(queries=(1000,), steps=1, repeats=1)
DEVICES = (1, 2, 3)
TOLERANCE = 1e-6


def rows(options: Options) -> Iterator[Row]:
    """Each number of processes in turn, as often as told.

    Raises:
        UserError: their figures differ by more than 1e-6.
    """
    folder = RECORDS / "ranks"
    shutil.rmtree(folder, ignore_errors=True)
    for n in options.queries:
        whole = {devices: Times() for devices in DEVICES}
        search = {devices: Times() for devices in DEVICES}
        gaps = dict.fromkeys(DEVICES, 0.0)
        for repeat in range(options.repeats):
            for devices in DEVICES:
                run_dir = folder / f"{n}-{repeat}-{devices}"
                given = [*BASE, f"n={n}", f"device={options.device}", *options.overrides]
                share = [f"devices={devices}", f"threads={devices * options.threads}"]
                run = evaluate(folder, run_dir.name, *given, *share, f"run_dir={run_dir}")
                whole[devices].wall.append(run.wall / n)
                whole[devices].cpu.append(run.cpu / n)
                for clock, kept in (("wall", search[devices].wall), ("cpu", search[devices].cpu)):
                    kept.append((run.stages["search"][clock] - run.stages["start"][clock]) / n)
                first = figures(folder / f"{n}-{repeat}-{DEVICES[0]}")
                gaps[devices] = max(gaps[devices], difference(first, figures(run_dir)))
        for devices in DEVICES:
            yield row(f"{n:,} queries, {devices} process(es)", whole, search, devices, gaps[devices])


def weights(options: Options) -> dict[str, str]:
    """Sha256 of each file of weights, as the last run tells them."""
    return told_weights(RECORDS / "ranks" / f"{options.queries[-1]}-0-{DEVICES[0]}")


def row(name: str, whole: dict[int, Times], search: dict[int, Times], devices: int, gap: float) -> Row:
    """Time of so many processes, and one's over it: of the whole evaluation, and of the search alone."""
    if gap > TOLERANCE:
        raise UserError(f"{name}: figures differ from one process's by {gap:g}, expected {TOLERANCE:g}")
    facts = {"largest difference": Entry(gap, n=len(whole[devices].wall), label="largest difference")}
    for what, times in (("whole", whole), ("search", search)):
        column = f"speed-up, {what}"
        speed_up = min(times[1].wall) / min(times[devices].wall)
        facts[column] = Entry(speed_up, n=len(times[devices].wall), label=column)
    return Row(name, {"ours": whole[devices]}, facts=facts)
