"""Finished jobs of a small study: two methods on eight queries, by their files alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.core.entry import Entry
from counterfoil.report.jobs import Job, read_job

Shape = dict[str, tuple[float, float]]
N = 8


def write(folder: Path, confidence: float, seed: int, methods: Shape) -> Job:
    """A job whose methods have this mean L1 and this share of the judge."""
    folder.mkdir(parents=True)
    summary = {
        "methods": {
            name: {
                "judge_agreement": Entry(share, 0.0, 1.0, N, "%", True, 0.0, 1.0).as_dict(),
                "l1": Entry(l1, l1, l1, N, "", False, 0.0, 1.0).as_dict(),
            }
            for name, (l1, share) in methods.items()
        },
        "queries": {"class_names": ["zero", "one"]},
        "config": {"confidence": confidence, "seed": seed},
    }
    (folder / "metrics.json").write_text(json.dumps(summary))
    with (folder / "queries.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "image", "source", "target", "valid", "l1", "judge_agreement"])
        for name, (l1, share) in methods.items():
            for image in range(N):
                nudge = 0.001 * (image - (N - 1) / 2)
                writer.writerow([name, image, "zero", "one", 1, l1 + nudge, float(image < share * N)])
    return read_job(folder)


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    """job(confidence, seed, {method: (l1, share)}) is a finished job on disk."""
    return lambda confidence, seed, methods: write(
        tmp_path / f"{confidence}-{seed}", confidence, seed, methods
    )


@pytest.fixture
def jobs(job: Callable[..., Job]) -> list[Job]:
    """Two confidences of one seed: `near` moves less than `far`, and the judge follows `far` more."""
    return [
        job(0.5, 0, {"near": (0.04, 0.25), "far": (0.06, 0.5)}),
        job(0.9, 0, {"near": (0.08, 0.5), "far": (0.10, 1.0)}),
    ]
