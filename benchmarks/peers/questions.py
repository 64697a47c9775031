"""What all are asked: the queries of an evaluation, our classifier's weights, and its logits to check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import torch

from counterfoil.data.queries import QuerySet
from counterfoil.run.config import RunConfig
from counterfoil.run.evaluate import query_set
from counterfoil.run.models import Models

ROOT = Path(__file__).resolve().parents[2]
CHECKED = 1000
"""Test digits on which a transplanted classifier must give our logits."""
ON = ("experiment=pe_mnist_all", "logger=none", "device=cpu", "threads=1", "target=runner_up")
"""The experiment whose models serve all of our methods, on whole MNIST, one target per query."""


def composed(overrides: Sequence[str]) -> RunConfig:
    """The config of evaluate.py with these overrides."""
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        return RunConfig.of(hydra.compose("evaluate", [*ON, *overrides]))


def models_of(run: RunConfig) -> Models:
    """The models of a run, which a caller keeps for other runs on the same ones."""
    return Models.of(run)


def write_questions(run: RunConfig, models: Models, folder: Path) -> QuerySet:
    """Write questions.npz for the peers' environment, and queries.csv for a reader; returns the queries."""
    classifier: Any = models.share(run.explained)
    queries = query_set(run, models, classifier)
    x, target, _ = queries.at(torch.arange(len(queries)))
    check = models.data.test.images[:CHECKED]
    with torch.no_grad():
        logits = classifier(check.float() / 255)
    weights = {name: value.numpy() for name, value in classifier.net.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "questions.npz",
        factual=x.numpy(),
        target=target.numpy(),
        check=check.numpy(),
        check_logits=logits.numpy(),
        train=models.data.train.images.numpy(),
        mean=np.float32(classifier.mean.item()),
        std=np.float32(classifier.std.item()),
        **weights,
    )
    queries.save(folder / "queries.csv", classifier.class_names)
    return queries
