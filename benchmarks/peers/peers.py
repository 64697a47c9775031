"""Our methods beside alibi's and foolbox', on the same queries, graded by the same metrics:

    make peers DATA=FOLDER STORE=weights                  everything, and results/peers.json
    make peers DATA=FOLDER STORE=weights PEERS=--reuse    theirs as they were left, ours anew

Each method runs by itself on one thread. Theirs run in an environment of their own (--python) until their
budget of CPU seconds is spent, ours explain all queries. With --reuse, what the methods of others have left
in --folder is graded again, with the seconds they took then; with --grade ours too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from questions import ON, ROOT, composed, write_questions

sys.path.insert(0, str(ROOT / "benchmarks"))

from timing import machine

from counterfoil.core.entry import Entry
from counterfoil.data.queries import QuerySet
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.report.table import Table
from counterfoil.report.view.base import table_as_dict
from counterfoil.run.models import Models
from counterfoil.util import cli
from counterfoil.util.build import build
from counterfoil.util.record import read_json, versions, write_json

THEIRS = {
    "cfproto": "alibi CFProto",
    "cfproto_500": "alibi CFProto, 500 iterations",
    "counterfactual": "alibi Counterfactual",
    "cem": "alibi CEM, pertinent negative (no target)",
    "ddn": "foolbox DDN",
    "fmn": "foolbox FMN",
    "cw": "foolbox Carlini-Wagner",
}
"""Methods of others, as theirs.py knows them, and as the table shows them."""
NEIGHBOUR = ("explainer.revise.flip=margin", "explainer.revise.start=neighbour")
OURS = {
    "wachter, 0.5": ("wachter", "confidence=0.5"),
    "wachter, 0.95": ("wachter", "confidence=0.95"),
    "revise, 0.5": ("revise", "confidence=0.5"),
    "revise, 0.95": ("revise", "confidence=0.95"),
    "revise, margin, 0.5": ("revise", "confidence=0.5", "explainer.revise.flip=margin"),
    "revise, margin, 0.95": ("revise", "confidence=0.95", "explainer.revise.flip=margin"),
    "revise, margin, 0.99": ("revise", "confidence=0.99", "explainer.revise.flip=margin"),
    "revise, margin, 0.999": ("revise", "confidence=0.999", "explainer.revise.flip=margin"),
    "revise, margin, 0.999, refill": (
        "revise",
        "confidence=0.999",
        "explainer.revise.flip=margin",
        "refill=128",
    ),
    **{
        f"revise, neighbour, {confidence}": ("revise", f"confidence={confidence}", *NEIGHBOUR)
        for confidence in ("0.5", "0.95", "0.99", "0.999")
    },
    "progressive, 0.5": ("progressive", "confidence=0.5", "explainer.progressive.returned=first"),
    "progressive, 0.95": ("progressive", "confidence=0.95", "explainer.progressive.returned=first"),
    "progressive, one image, 0.5": ("progressive", "confidence=0.5", "explainer.progressive.strip=false"),
    "progressive, one image, 0.95": ("progressive", "confidence=0.95", "explainer.progressive.strip=false"),
    "progressive, one image, 0.99": ("progressive", "confidence=0.99", "explainer.progressive.strip=false"),
}
"""Row -> method and overrides of evaluate.py; the number is the confidence requested."""
BATCH = 128
COLUMNS = ("n", "validity", "judge_agreement", "l1_valid", "im1_valid", "seconds", "ratio")
METRICS = "metric=[success,distances,im1,cost]"
COMMAND = "make peers DATA=FOLDER STORE=weights"
BASE = "cfproto"
"""What all are compared with."""


def file_of(name: str) -> str:
    """The name of a row's file, which becomes its method's."""
    return name.replace(", ", "_").replace(".", "")


def ours(
    method: str,
    overrides: Sequence[str],
    given: Sequence[str],
    models: Models,
    queries: QuerySet,
    repeats: int,
) -> dict[str, np.ndarray]:
    """Counterfactuals of one of our methods with CPU seconds, the median of repeats; a warm one before."""
    run = composed([*given, *overrides])
    made = build(run.explainer[method], models.share, method, classifier=models.share(run.explained))
    made.fit(models.data)
    if isinstance(made, OptimisedExplainer):
        made.search.refill = run.refill
    x, target, _ = queries.at(torch.arange(len(queries)))
    parts = list(zip(x.split(BATCH), target.split(BATCH), strict=True))
    made(x[:BATCH], target[:BATCH].tolist())
    found: list[torch.Tensor] = []
    times = []
    for _ in range(repeats):
        since, ends, kept = time.process_time(), [0.0], {}
        for place, cf in made.stream((a, b.tolist()) for a, b in parts):
            ends.append(time.process_time() - since)
            kept[place] = cf.counterfactual
        found = [kept[place] for place in sorted(kept)]
        each = [ends[-1] / len(x)] * len(parts) if run.refill else _per_row(ends, parts)
        times.append([seconds for seconds, (a, _) in zip(each, parts, strict=True) for _ in a])
    return {
        "factual": x.numpy(),
        "counterfactual": torch.cat(found).numpy(),
        "target": target.numpy(),
        "seconds": np.array([median(row) for row in zip(*times, strict=True)]),
    }


def _per_row(ends: Sequence[float], parts: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> list[float]:
    spans = pairwise(ends)
    return [(end - start) / len(x) for (start, end), (x, _) in zip(spans, parts, strict=True)]


def theirs(method: str, python: Path, folder: Path, budget: float) -> None:
    """Let the other environment ask one method; raises CalledProcessError where that fails."""
    script = Path(__file__).with_name("theirs.py")
    one = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
    environment = {**os.environ, **one, "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment.pop("PYTHONPATH", None)
    command = [str(python), str(script), method, str(folder), "--budget", str(budget)]
    subprocess.run(command, env=environment, check=True)


def grade(files: Sequence[Path], given: Sequence[str], folder: Path) -> dict[str, dict[str, Entry]]:
    """Metrics of foreign npz files by their stem: evaluate.py scores each of them as a job."""
    shutil.rmtree(folder, ignore_errors=True)
    jobs = ",".join(str(file) for file in files)
    script = [
        sys.executable,
        str(ROOT / "evaluate.py"),
        "-m",
        f"counterfactuals={jobs}",
        *ON,
        *given,
        METRICS,
    ]
    subprocess.run([*script, f"run_dir={folder}", "overwrite=true"], check=True)
    found: dict[str, dict[str, Entry]] = {}
    for path in sorted(folder.glob("*/metrics.json")):
        for method, entries in read_json(path, "metrics").get("methods", {}).items():
            found[method] = {name: Entry.from_dict(entry) for name, entry in entries.items()}
    return found


def rows(graded: Mapping[str, Mapping[str, Entry]]) -> Iterator[tuple[str, dict[str, Entry]]]:
    """The rows of the table: those of others, then ours; the ratio is how many times cheaper than BASE."""
    names = {**THEIRS, **{name: name for name in OURS}}
    base = graded[BASE]["seconds"].value if BASE in graded else None
    for key, shown in names.items():
        entries = dict(graded.get(file_of(key), {}))
        if not entries:
            continue
        seconds = entries["seconds"].value
        entries["n"] = Entry(entries["validity"].n, label="n")
        entries["seconds"] = replace(entries["seconds"], label="CPU seconds", higher_is_better=None)
        if base and seconds:
            entries["ratio"] = Entry(base / seconds, label="times cheaper than CFProto")
        yield shown, {name: entries[name] for name in COLUMNS if name in entries}


def command_line(arguments: Sequence[str]) -> str:
    """The make command that was given these arguments; `OPTION=VALUE` is DATA and STORE."""
    more = " ".join(argument for argument in arguments if "=" not in argument)
    return f'{COMMAND} PEERS="{more}"' if more else COMMAND


def publish(table: Table, note: str, peers: Mapping[str, Any], path: Path, n: int) -> None:
    """Write the figures as results/ keeps them."""
    shown = table_as_dict(table)
    for row, entries in table.rows.items():
        shown["rows"][row]["n"]["text"] = f"{entries['n'].value:.0f}"
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    content = {
        "study": "peers",
        "title": "Against the alternatives",
        "command": command_line(sys.argv[1:]),
        "seeds": [0],
        "n": [n],
        "jobs": [],
        "versions": {**versions(), "peers": peers},
        "weights": {},
        "measured": {"commit": commit, "note": note},
        "notes": {"machine": Entry(None).as_dict() | {"text": f"{note}."}},
        "views": {"peers": {"tables": {"peers": shown}, "files": []}},
    }
    write_json(path, content)


def measure(arguments: Sequence[str]) -> Path:
    """Ask all, grade all, print and publish the table; returns the published file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "peers")
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-peers" / "bin" / "python")
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--budget", type=float, default=90.0, help="CPU seconds of each of others")
    parser.add_argument("--base-budget", type=float, default=270.0, help="those of CFProto")
    parser.add_argument("--repeats", type=int, default=3, help="of ours")
    parser.add_argument("--theirs", nargs="*", default=list(THEIRS), help="methods of others")
    parser.add_argument("--ours", nargs="*", default=list(OURS), help="rows of ours")
    parser.add_argument("--reuse", action="store_true", help="what others left in the folder")
    parser.add_argument("--grade", action="store_true", help="grade what lies in the folder, run nothing")
    parser.add_argument("--publish", type=Path, default=ROOT / "results" / "peers.json")
    parser.add_argument("overrides", nargs="*", metavar="OPTION=VALUE", help="before the options above")
    given = parser.parse_intermixed_args(arguments)
    torch.set_num_threads(1)
    before = machine()
    run = composed([f"n={given.queries}", *given.overrides])
    models = Models.of(run)
    queries = write_questions(run, models, given.folder)
    for method in given.theirs:
        if not (given.folder / f"{method}.npz").is_file() or not (given.reuse or given.grade):
            budget = given.base_budget if method == BASE else given.budget
            theirs(method, given.python, given.folder, budget)
    for name in () if given.grade else given.ours:
        method, *overrides = OURS[name]
        found = ours(method, overrides, given.overrides, models, queries, given.repeats)
        np.savez(given.folder / f"{file_of(name)}.npz", **found)
        print(f"{name}: {found['seconds'].mean():.4f} CPU s per query", file=sys.stderr)
    names = [*given.theirs, *map(file_of, given.ours)]
    graded = grade(
        [(given.folder / f"{name}.npz").resolve() for name in names], given.overrides, given.folder / "graded"
    )
    table = Table(dict(rows(graded)), COLUMNS)
    print(table.markdown())
    note = (
        f"{before['device']}, one thread, load {before['load'][0]} before and {os.getloadavg()[0]:.2f} after"
    )
    told = {name: json.loads((given.folder / f"{name}.json").read_text()) for name in given.theirs}
    publish(table, note, told, given.publish, given.queries)
    return given.publish


if __name__ == "__main__":
    cli.run(lambda: print(measure(sys.argv[1:])), ROOT / "conf")
