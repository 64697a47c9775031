"""What all cases share: the floor, timing in turn, ratios, the machine, the table and the record."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.entry import Entry
from counterfoil.report.table import Table
from counterfoil.report.view.base import table_as_dict
from counterfoil.run.study import public
from counterfoil.util.command import command_line
from counterfoil.util.record import versions, write_json, write_text

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "runs" / "benchmarks"
RESULTS = ROOT / "results"


@dataclass(frozen=True)
class Options:
    """What every case can be told.

    Attributes:
        queries: sizes of the batches.
        steps: of each search, or of each block of a training.
        repeats: how often each side runs.
        threads: of torch on the CPU.
        device: cpu or cuda.
        overrides: of the config of evaluate.py.
    """

    queries: Sequence[int]
    steps: int
    repeats: int
    threads: int = 1
    device: str = "cpu"
    overrides: Sequence[str] = ()


def descent(moved: Sequence[Tensor], loss: Callable[[], Tensor], optimizer: Any) -> Iterator[None]:
    """The floor, a step per item: forward, backward and optimiser, and nothing that is kept.

    Args:
        moved: what the optimiser moves; made to need gradients.
        loss: a scalar made from `moved`.
        optimizer: makes a torch optimiser from `moved`.
    """
    step = optimizer([value.requires_grad_() for value in moved])
    while True:
        step.zero_grad()
        loss().backward()
        step.step()
        yield


def take(steps: Iterator[None], count: int) -> None:
    """Do so many steps."""
    for _ in islice(steps, count):
        pass


@dataclass(frozen=True)
class Work:
    """What is timed, and how many units one run of it does."""

    run: Callable[[], object]
    count: int = 1


@dataclass(frozen=True)
class Times:
    """Wall and CPU seconds per unit, one of each per repeat."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def note(self, since: tuple[float, float], count: int = 1) -> None:
        """The time since `now()` was asked, in which `count` units were done."""
        for kept, end, start in zip((self.wall, self.cpu), now(), since, strict=True):
            kept.append((end - start) / count)


def now() -> tuple[float, float]:
    """Wall and CPU clock."""
    return time.perf_counter(), time.process_time()


def interleave(
    works: Mapping[str, Work],
    repeats: int,
    device: str = "cpu",
    warm: bool = True,
    enough: float = math.inf,
) -> dict[str, Times]:
    """Time in turn, in the reverse order at every second repeat; with `warm` each runs once before.

    No repeat begins after `enough` seconds.
    """
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    times = {name: Times() for name in works}
    for work in works.values() if warm else ():
        work.run()
    begun = time.perf_counter()
    for repeat in range(repeats):
        if repeat and time.perf_counter() - begun > enough:
            break
        for name in list(works)[:: -1 if repeat % 2 else 1]:
            wait()
            since = now()
            works[name].run()
            wait()
            times[name].note(since, works[name].count)
    return times


def ratios(ours: Times, other: Times) -> dict[str, float]:
    """Ours over the other: the median of neighbouring repeats, of the quickest, and of the least CPU time."""
    return {
        "median": median(a / b for a, b in zip(ours.wall, other.wall, strict=True)),
        "quickest": min(ours.wall) / min(other.wall),
        "CPU": min(ours.cpu) / min(other.cpu),
    }


@dataclass(frozen=True)
class Row:
    """What was timed: ours, then what it is compared with.

    Attributes:
        name: for the table.
        times: "ours" and others by name, as `interleave` gives them.
        unit: what the seconds are per.
        facts: further columns.
    """

    name: str
    times: Mapping[str, Times]
    unit: str = "query"
    facts: Mapping[str, Entry] = field(default_factory=dict)

    def __str__(self) -> str:
        told = (f"{name} {entry.value:.3g}" for name, entry in self.entries.items() if "median" in name)
        return f"{self.name}: {', '.join(told)}"

    @property
    def entries(self) -> dict[str, Entry]:
        """Columns: the median time of each, and the ratios of ours to each other."""
        n, ours = len(self.times["ours"].wall), self.times["ours"]
        found = {
            name: Entry(1e3 * median(times.wall), n=n, unit=f"ms per {self.unit}", label=name)
            for name, times in self.times.items()
        }
        for name in list(self.times)[1:]:
            for kind, value in ratios(ours, self.times[name]).items():
                column = f"ours / {name}, {kind}"
                found[column] = Entry(value, n=n, label=column)
        return {**found, **self.facts}


def table(rows: Sequence[Row]) -> str:
    """A line per row, in Markdown."""
    return Table({row.name: row.entries for row in rows}, corner="").markdown()


def machine(device: str = "cpu") -> dict[str, Any]:
    """What the figures are measured on."""
    return {
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "versions": versions(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def about(facts: Mapping[str, Any]) -> str:
    """The machine in a line."""
    return (
        f"{facts['device']}, {facts['cores']} cores, {facts['threads']} thread(s), load "
        f"{' '.join(map(str, facts['load']))}, torch {facts['versions']['torch']}"
    )


def record(case: str, rows: Sequence[Row], options: Options, before: Mapping[str, Any]) -> Path:
    """Write figures, raw times, options and machine to runs/benchmarks/<case>.json; returns the file."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    path = RECORDS / f"{case}.json"
    content = {
        "command": command_line(),
        "options": asdict(options),
        "machine": before,
        "load_after": os.getloadavg(),
        "rows": {row.name: row.entries for row in rows},
        "seconds": {row.name: {name: asdict(times) for name, times in row.times.items()} for row in rows},
    }
    write_json(path, content)
    return path


def publish(
    case: str,
    rows: Sequence[Row],
    columns: Sequence[str] | None,
    options: Options,
    before: Mapping[str, Any],
    weights: Mapping[str, str],
) -> Path:
    """Write the table to results/<case>.json, as RESULTS.md reads it; notes that lie there stay.

    The note `machine` tells what it was measured on.

    Args:
        columns: those shown; None: all.
        weights: sha256 of each file of weights.
    """
    names = columns or list(dict.fromkeys(column for row in rows for column in row.entries))
    shown = Table({row.name: row.entries for row in rows}, names, corner=case)
    content = {
        "study": case,
        "title": case,
        "command": public(command_line()),
        "seeds": [0],
        "n": list(options.queries),
        "jobs": [],
        "versions": before["versions"],
        "weights": dict(weights),
        "machine": {name: before[name] for name in ("device", "cores", "threads", "load")},
        "load_after": [round(load, 2) for load in os.getloadavg()],
        "views": {case: {"tables": {case: table_as_dict(shown)}, "files": {}}},
    }
    path = RESULTS / f"{case}.json"
    notes = json.loads(path.read_text()).get("notes", {}) if path.is_file() else {}
    content["notes"] = {**notes, "machine": {"text": about(before)}}
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path
