"""What the benchmarks share: trained networks, interleaved timing, and a record of the machine."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import torch

from counterfoil.run.config import typed
from counterfoil.run.models import Models, missing
from counterfoil.run.store import Store
from counterfoil.run.train import train_all
from counterfoil.util import cli  # noqa: F401 (registers the resolvers of the configs)
from counterfoil.util.build import plain
from counterfoil.util.record import versions, write_json

ROOT = Path(__file__).resolve().parents[1]


def config(*overrides: str) -> dict[str, Any]:
    """The config of evaluate.py: dicts, and recipes of models and data."""
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        node: dict[str, Any] = typed(plain(hydra.compose("evaluate", overrides=["logger=none", *overrides])))
    return node


def trained(node: dict[str, Any], names: Sequence[str], device: str = "cpu") -> tuple[Models, list[Any]]:
    """The data, and the named models of a config; those that are not in the store are trained first, once."""
    store = Path(node["store"])
    models = Models(Store(store if store.is_absolute() else ROOT / store), node["data"], device)
    train_all(missing({name: node[name] for name in names}, models), models, node["trainer"], False)
    return models, [models.share(node[name]) for name in names]


@dataclass
class Times:
    """Wall and CPU seconds of one case, a number a repeat."""

    wall: list[float]
    cpu: list[float]

    def per(self, count: int) -> dict[str, float]:
        """Seconds a unit, of `count` done in each repeat."""
        return {
            "min": min(self.wall) / count,
            "median": statistics.median(self.wall) / count,
            "cpu_min": min(self.cpu) / count,
            "cpu_median": statistics.median(self.cpu) / count,
        }


def interleave(
    cases: Mapping[str, Callable[[], object]],
    repeats: int,
    synchronize: Callable[[], None] = lambda: None,
    warm: bool = True,
) -> dict[str, Times]:
    """Time the cases in turn, so that whatever else the machine does falls on all of them; the order turns round each time."""
    times = {name: Times([], []) for name in cases}
    for case in cases.values() if warm else ():
        case()
    for repeat in range(repeats):
        order = list(cases)[:: 1 if repeat % 2 == 0 else -1]
        for name in order:
            synchronize()
            wall, cpu = time.perf_counter(), time.process_time()
            cases[name]()
            synchronize()
            times[name].wall.append(time.perf_counter() - wall)
            times[name].cpu.append(time.process_time() - cpu)
    return times


def ratios(ours: Times, floor: Times) -> dict[str, float]:
    """Ours over the floor: of the quickest repeats, the median of neighbouring repeats, and of the least CPU time."""
    paired = [a / b for a, b in zip(ours.wall, floor.wall, strict=True)]
    return {
        "min": min(ours.wall) / min(floor.wall),
        "median": statistics.median(paired),
        "cpu": min(ours.cpu) / min(floor.cpu),
    }


def machine(device: str = "cpu") -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "versions": versions(),
    }


def _processor() -> str:
    try:
        names = [
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def about(facts: Mapping[str, Any]) -> str:
    """The machine in a line."""
    load = " ".join(f"{value:.2f}" for value in facts["load_average"])
    return f"{facts['device']}, {facts['cores']} cores, {facts['threads']} thread(s), load {load}, torch {facts['versions']['torch']}"


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: names to the left, figures to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def record(name: str, content: Mapping[str, Any]) -> Path:
    """Write runs/benchmarks/<name>.json."""
    path = ROOT / "runs" / "benchmarks" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, json.loads(json.dumps(content, default=str)))
    return path
