"""A small finished run: three methods, one of them with an awkward name, on twelve two-colour images."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.entry import Entry
from counterfoil.core.strip import Strip

ROWS = 12
AWKWARD = "<b>own</b> & $co$ {{ x }}"


def _counterfactuals(shift: float, valid: Tensor, walks: bool = False) -> Counterfactuals:
    generator = torch.Generator().manual_seed(0)
    factual = torch.rand(ROWS, 3, 8, 8, generator=generator) / 2
    counterfactual = (factual + shift * torch.rand(ROWS, 3, 8, 8, generator=generator)).clamp(0, 1)
    target = torch.arange(ROWS) % 2
    sign = 1 - 2 * target.float()
    before = torch.stack((-sign, sign), 1) * 2
    after = torch.where(valid[:, None], -before, before)
    cost = torch.full((ROWS,), float("nan"))
    strip = Strip(torch.stack((factual, counterfactual), 1), logits=torch.stack((before, after), 1))
    return Counterfactuals(
        factual,
        counterfactual,
        target,
        before,
        after,
        torch.arange(100, 100 + ROWS),
        cost,
        cost,
        cost,
        cost,
        strip=strip if walks else None,
    )


FACTS = {
    "validity": {"unit": "%", "minimum": 0.0, "maximum": 1.0, "main": True, "role": "success"},
    "l1_valid": {"label": "L1, valid", "main": True, "role": "distance"},
    "l1": {"label": "L1", "role": "distance"},
    "fid_judge": {"label": "FID (judge)", "main": True},
    "im1": {"label": "IM1", "main": True},
}
"""What the metrics of the run declare."""


def _entry(metric: str, value: float | None, spread: float, better: bool, n: int = ROWS) -> Entry:
    low, high = (None, None) if value is None else (value - spread, value + spread)
    return Entry(value, low, high, n, higher_is_better=better, **FACTS[metric])  # type: ignore[arg-type]


@pytest.fixture
def run() -> SimpleNamespace:
    every, none = torch.ones(ROWS, dtype=torch.bool), torch.zeros(ROWS, dtype=torch.bool)
    half = torch.arange(ROWS) < 9
    methods = {
        "revise": _counterfactuals(0.2, half, walks=True),
        "wachter": _counterfactuals(0.4, every),
        AWKWARD: _counterfactuals(0.6, none),
    }
    shares = {"revise": 0.75, "wachter": 1.0, AWKWARD: 0.0}
    tables = {
        name: {"l1": counterfactuals.delta.abs().flatten(1).mean(1)}
        for name, counterfactuals in methods.items()
    }
    tables["wachter"]["judge_agreement"] = (torch.arange(ROWS) % 3 > 0).float()
    tables["revise"]["im1"] = torch.where(torch.arange(ROWS) < 4, torch.arange(ROWS) / 7, torch.nan)

    def mean_l1(name: str) -> float:
        return float(tables[name]["l1"].mean())

    summary = {
        "standing": {"validity": {"wachter": "best", "revise": "tied"}, "l1_valid": {"revise": "best"}},
        "methods": {
            name: {
                "validity": _entry("validity", share, 0.3, True),
                "l1_valid": _entry(
                    "l1_valid", mean_l1(name) if share else None, 0.001, False, round(share * ROWS)
                ),
                "fid_judge": _entry("fid_judge", float("nan"), 1.0, False),
                "l1": _entry("l1", mean_l1(name), 0.001, False),
                "im1": _entry("im1", 1.0, 0.1, False),
            }
            for name, share in shares.items()
        },
        "queries": {"n": ROWS, "target": "runner_up"},
        "config": {"seed": 7, "data": {"name": "avatars"}},
        "versions": {"torch": "2.13.0"},
    }
    return SimpleNamespace(
        summary=summary,
        methods=methods,
        tables=tables,
        class_names=("not <Smiling>", "Smiling"),
        descriptions={"l1": "mean |x' - x|", "validity": "share with argmax f(x') = t"},
        title="Faces <smiling>",
        command="python evaluate.py 'explainer=[revise]' && echo",
        judge_probabilities={"revise": torch.linspace(0, 1, ROWS)},
    )


POSTERIORS = [0.01, 0.2, 0.7, 0.99]
"""The classifier's own posterior of the target along each strip."""


@pytest.fixture
def walked(run):
    """Strips of four images, straight from the factual through the counterfactual, the third, and beyond."""
    counterfactuals = run.methods["revise"]
    share = torch.tensor([0.0, 0.5, 1.0, 1.2])[None, :, None, None, None]
    images = (counterfactuals.factual[:, None] + share * counterfactuals.delta[:, None]).clamp(0, 1)
    images[:, 2] = counterfactuals.counterfactual
    images[3] = counterfactuals.factual[3]  # nothing was searched for this one
    requested = torch.tensor([0.1, 0.3, 0.6, 0.9]).repeat(len(images), 1)
    requested[3] = torch.nan
    sign = 2 * counterfactuals.target.float() - 1
    logits = (sign[:, None] * torch.logit(torch.tensor(POSTERIORS)))[..., None] * torch.tensor([0.0, 1.0])
    return replace(counterfactuals, strip=Strip(images, requested, logits))


@pytest.fixture(scope="session")
def _browser() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        module = importlib.import_module("browser")
    if module.CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with module.browser() as tab:
        yield tab


@pytest.fixture
def tab(_browser: Any) -> Iterator[Any]:
    """The one tab of a headless Chromium; whatever goes wrong in a page fails the test."""
    _browser.errors.clear()
    yield _browser
    assert _browser.errors == []
