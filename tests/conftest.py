"""What all tests share: one thread, no network, a temporary folder, and small networks and data."""

from __future__ import annotations

import logging
import os
import random
import runpy
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from torch import Tensor, nn

from counterfoil.testing import Bars, TinyClassifier
from counterfoil.testing import tiny_vae as vae
from counterfoil.util import cli  # noqa: F401 (registers the resolvers of the configs)
from tests.bench import bench, composed, environment, finished  # noqa: F401 (fixtures for all tests)

ROOT = Path(__file__).parents[1]


class Linear(nn.Module):
    """Logits W x + b of the flattened input: every query has a counterfactual on paper."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T + self.bias


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Every test, and the fixtures made for it, draws the same numbers in whatever order tests run."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 (the stream that libraries draw from)
    random.seed(0)


@pytest.fixture(scope="session", autouse=True)
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One thread; W&B and caches in a temporary folder; every connection to another machine is refused."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("home")
    patch = pytest.MonkeyPatch()
    for name in (
        "WANDB_DIR",
        "WANDB_CACHE_DIR",
        "WANDB_CONFIG_DIR",
        "WANDB_DATA_DIR",
        "WANDB_ARTIFACT_DIR",
        "COUNTERFOIL_CACHE",
    ):
        patch.setenv(name, str(home))
    patch.setenv("WANDB_MODE", "offline")
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.delenv("COUNTERFOIL_DATA", raising=False)
    connect = socket.socket.connect

    def only_here(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}; tests need no network")
        connect(self, address)

    patch.setattr(socket.socket, "connect", only_here)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def quiet_log() -> None:
    """The logger as it is in a library, whatever a command of an earlier test has made of it."""
    log = logging.getLogger("counterfoil")
    log.handlers, log.propagate = [], True
    log.setLevel(logging.NOTSET)


@pytest.fixture
def seeded() -> torch.Generator:
    """A generator with a fixed seed."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def linear() -> Callable[..., Linear]:
    """Factory of linear classifiers in float64: linear(weight (K, D), bias (K,) or None)."""
    return lambda weight, bias=None: Linear(
        torch.as_tensor(weight).double(), None if bias is None else torch.as_tensor(bias).double()
    )


@pytest.fixture
def tiny_classifier() -> TinyClassifier:
    """A random convolutional classifier in float64."""
    return TinyClassifier().double()


@pytest.fixture
def tiny_vae() -> nn.Module:
    """A VAE with random weights in float64, in eval mode."""
    return vae().double()


@pytest.fixture
def toy() -> Bars:
    """Drawn pictures in three classes."""
    return Bars(batch_size=16)


Compose = Callable[..., tuple[DictConfig, Mapping[str, str]]]


@pytest.fixture(scope="session")
def compose() -> Compose:
    """compose("evaluate", "n=3", ...) gives the real config and the choice made in each group."""
    return composed


@pytest.fixture
def script(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """script("evaluate", "n=3") runs evaluate.py from an empty folder: exit code, stdout, stderr."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")

    def called(name: str, *arguments: str) -> tuple[int, str, str]:
        GlobalHydra.instance().clear()
        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [str(ROOT / f"{name}.py"), *arguments])
            try:
                runpy.run_path(sys.argv[0], run_name="__main__")
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
        return (code, *capfd.readouterr())

    return called


@pytest.fixture
def without_wandb_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where nobody has set anything of W&B's."""
    for name in [key for key in os.environ if key.startswith("WANDB_")]:
        monkeypatch.delenv(name)
