"""The jobs of a study as they lie on disk: one finished run folder each, read when needed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from counterfoil.core.batches import Batches
from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError
from counterfoil.util.digest import file_digest
from counterfoil.util.record import read_json

TRAINING = "training_seconds"
"""The name under which views find the seconds of training."""


@dataclass(frozen=True)
class Job:
    """A finished evaluation.

    Attributes:
        folder: its run folder.
        summary: the content of its metrics.json.
    """

    folder: Path
    summary: Mapping[str, Any]

    @cached_property
    def config(self) -> Any:
        """The run's composed config."""
        return OmegaConf.create(dict(self.summary["config"]))

    def option(self, path: str) -> Any:
        """The value of an option by its dotted path, such as `confidence` or `explainer.disc.prior`."""
        value = OmegaConf.select(self.config, path)
        return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.option("seed"))

    @cached_property
    def methods(self) -> dict[str, dict[str, Entry]]:
        """Method -> metric -> entry; `training_seconds` are those of the method's models, where noted."""
        found = {
            name: {metric: Entry.from_dict(entry) for metric, entry in row.items()}
            for name, row in self.summary["methods"].items()
        }
        for name, seconds in self.summary.get("training_seconds", {}).items():
            if name in found:
                found[name][TRAINING] = Entry(seconds, unit="s", minimum=0.0, label="Training")
        return found

    @cached_property
    def rows(self) -> dict[str, list[dict[str, str]]]:
        """Method -> the lines of queries.csv, one per counterfactual.

        Raises:
            UserError: it is missing, or not what the run wrote.
        """
        path = self.folder / "queries.csv"
        written = self.summary.get("files", {}).get(path.name)
        if not path.is_file() or (written and file_digest(path) != written):
            raise UserError(f"{path} is missing or damaged; run the job again with overwrite=true")
        found: dict[str, list[dict[str, str]]] = {}
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            for line in csv.DictReader(file):
                found.setdefault(line["method"], []).append(line)
        return found

    @cached_property
    def texts(self) -> dict[str, list[tuple[str, str]]]:
        """Method -> factual and counterfactual of each line of texts.csv; {} where images were explained."""
        path = self.folder / "texts.csv"
        found: dict[str, list[tuple[str, str]]] = {}
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                for line in csv.DictReader(file):
                    found.setdefault(line["method"], []).append((line["factual"], line["counterfactual"]))
        return found

    def counterfactuals(self, method: str) -> Batches:
        """All that a method made, in the order of the queries; read when asked about."""
        files = sorted((self.folder / "counterfactuals" / method).glob("*.safetensors"))
        if not files:
            raise UserError(f"{self.folder} holds no counterfactuals of {method}; run the study again")
        return Batches(files)


def read_job(folder: Path) -> Job:
    """The finished run in a folder; UserError where there is none."""
    path = folder / "metrics.json"
    summary = read_json(path, "figures of a finished evaluation")
    if not {"methods", "queries", "config"} <= summary.keys():
        raise UserError(f"{path} is not a metrics.json of an evaluation: it lacks methods, queries or config")
    return Job(folder, summary)


def by_option(jobs: Sequence[Job], path: str) -> dict[Any, list[Job]]:
    """The jobs at each value of an option, values in rising order where they can be ordered."""
    groups: dict[Any, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.option(path), []).append(job)
    try:
        return dict(sorted(groups.items()))
    except TypeError:
        return groups


def select(jobs: Sequence[Job], where: Mapping[str, Any]) -> list[Job]:
    """The jobs whose options have these values.

    Raises:
        UserError: none has.
    """
    found = [job for job in jobs if all(job.option(path) == value for path, value in where.items())]
    if not found:
        told = ", ".join(f"{path}={value}" for path, value in where.items())
        raise UserError(f"study: no finished job has {told}; the view needs one")
    return found
