"""Small models of the shipped digits, trained once for all tests that run something."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

ROOT = Path(__file__).parents[1]
MODELS = (
    "data.limit=150",
    *(
        f"{key}.{option}"
        for key in ("classifier", "judge")
        for option in ("net.width=8", "net.stages=2", "layers=[blocks.0,pool]")
    ),
    *(
        f"{key}.training.{option}"
        for key in ("classifier", "judge")
        for option in ("epochs=6", "batch_size=16", "lr=1e-2")
    ),
    "generative.net.width=4",
    "generative.training.epochs=2",
    "autoencoder.net.width=4",
    "autoencoder.training.epochs=2",
)
CHOSEN = ("classifier=cnn", "classifier@judge=resnet", "generative=vae", "generative@autoencoder=autoencoder")
QUICK = (
    "n=12",
    "batch_size=5",
    "explainer=[nearest,wachter]",
    "explainer.wachter.steps=15",
    "explainer.wachter.rounds=1",
)


def composed(name: str, *overrides: str) -> tuple[DictConfig, Mapping[str, str]]:
    """The real config of a script, and the choice made in each group."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        config = hydra.compose(name, overrides=list(overrides), return_hydra_config=True)
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config.hydra
    return config, choices


def fewest(jobs: Iterable[Sequence[str]]) -> list[Sequence[str]]:
    """Of a grid's jobs so many that each value of all options but the seed has a turn; composing is slow."""
    seen, found = set[str](), []
    for job in ([part for part in job if not part.startswith("seed=")] for job in jobs):
        if not seen.issuperset(job):
            seen.update(job)
            found.append(job)
    return found or [[]]


@dataclass(frozen=True)
class Bench:
    """Both entry points on small models; `store` holds all that an evaluation of the shipped digits needs.

    `compose` gives the real config of a script, and the choice made in each group; `models` are the overrides
    that make the models small, `quick` those that make an evaluation short.
    """

    store: Path
    compose: Callable[..., tuple[DictConfig, Mapping[str, str]]]
    models: tuple[str, ...] = MODELS
    chosen: tuple[str, ...] = CHOSEN
    quick: tuple[str, ...] = QUICK

    def train(self, run_dir: Path, *overrides: str) -> list[Path]:
        """train.py on small models; without its progress bars."""
        from counterfoil.run.train import train

        config, _ = self.compose(
            "train", "logger=none", *self.models_of(overrides), f"store={self.store}", *overrides
        )
        return train(config, run_dir)

    def evaluate(self, run_dir: Path, *overrides: str) -> dict[str, Any]:
        """evaluate.py on small models."""
        from counterfoil.run.evaluate import evaluate

        chosen = next((part for part in reversed(overrides) if part.startswith("explainer=")), "wachter")
        quick = [
            part for part in self.quick if not part.startswith("explainer.wachter") or "wachter" in chosen
        ]
        given = ["logger=none", *self.models, f"store={self.store}", *quick, *overrides]
        config, choices = self.compose("evaluate", *given)
        return evaluate(config, run_dir, choices, given)

    def models_of(self, overrides: tuple[str, ...]) -> list[str]:
        """The overrides of those models that these overrides choose; train.yaml chooses none by itself."""
        groups = {part.split("=")[0] for part in overrides}
        key = {
            "classifier": "classifier",
            "judge": "classifier@judge",
            "generative": "generative",
            "autoencoder": "generative@autoencoder",
        }
        return [part for part in self.models if part.startswith("data.") or key[part.split(".")[0]] in groups]


@pytest.fixture(scope="session")
def bench(
    tmp_path_factory: pytest.TempPathFactory, compose: Callable[..., tuple[DictConfig, Mapping[str, str]]]
) -> Bench:
    """A store with a classifier, a judge, a VAE and class auto-encoders."""
    folder = tmp_path_factory.mktemp("bench")
    made = Bench(folder / "models", compose)
    made.train(folder / "training", *made.chosen)
    return made


@pytest.fixture(scope="session")
def finished(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and the summary of one undisturbed evaluation; not to be written to."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return folder, bench.evaluate(folder)


@pytest.fixture
def environment() -> dict[str, str]:
    """For a script in a process of its own: this checkout's package, one thread."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
