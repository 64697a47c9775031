"""Time a case against its bare networks:  python benchmarks/speed.py search|levers|training|strip|...

Ours and the floor run in turn in one process and do the same work, so that whatever else the machine does
falls on both. Three cases measure whole evaluations in fresh processes: memory, ranks, and page, which opens
the page in a headless Chromium. Cases stand in benchmarks/cases/; overrides are those of evaluate.py, such as
data=mnist.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import torch
from timing import ROOT, about, machine, publish, record, table

from counterfoil.util import cli

CASES = ("search", "levers", "training", "strip", "priors", "attributes", "memory", "ranks", "page")


def measure(arguments: Sequence[str]) -> Path:
    """Time a case, print its table, and write the record; returns its file."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--queries", type=int, nargs="+", help="sizes of a batch")
    parser.add_argument("--steps", type=int, help="of each search, or of each block of a training")
    parser.add_argument("--repeats", type=int, help="how often each side runs")
    parser.add_argument("--threads", type=int, help="of torch on the CPU; 1 by default")
    parser.add_argument("--device", help="cpu (default) or cuda")
    parser.add_argument("overrides", nargs="*", metavar="OPTION=VALUE", help="before --queries")
    parser.add_argument("--publish", action="store_true", help="write results/<case>.json too")
    given = vars(parser.parse_intermixed_args(arguments))
    publishes = given.pop("publish", False)
    case = import_module(f"cases.{given.pop('case')}")
    options = replace(case.DEFAULTS, **given)
    torch.set_num_threads(options.threads)
    before, rows = machine(options.device), []
    name = case.__name__.removeprefix("cases.")
    for row in case.rows(options):
        print(row, file=sys.stderr)
        rows.append(row)
        path = record(name, rows, options, before)
    print(f"{case.__doc__}\n{table(rows)}\n{about(before)}")
    if not publishes:
        return path
    weights = case.weights(options) if hasattr(case, "weights") else {}
    return publish(name, rows, getattr(case, "PUBLISHED", None), options, before, weights)


if __name__ == "__main__":
    cli.run(lambda: print(measure(sys.argv[1:])), ROOT / "conf")
