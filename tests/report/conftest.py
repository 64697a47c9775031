"""A small finished run: three methods, one of them with an awkward name, on twelve two-colour images."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
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


def _entry(value: float | None, spread: float, better: bool, n: int = ROWS) -> dict[str, object]:
    low, high = (None, None) if value is None else (value - spread, value + spread)
    return {"value": value, "low": low, "high": high, "n": n, "higher_is_better": better}


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
    summary = {
        "methods": {
            name: {
                "validity": _entry(share, 0.3, True),
                "l1_valid": _entry(
                    float(tables[name]["l1"].mean()) if share else None, 0.001, False, round(share * ROWS)
                ),
                "fid_judge": _entry(float("nan"), 1.0, False),
                "l1": _entry(float(tables[name]["l1"].mean()), 0.001, False),
                "im1": _entry(1.0, 0.1, False),
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
