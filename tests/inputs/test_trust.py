"""Judges that nobody should believe, and stored counterfactuals that make no sense, in a whole evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from counterfoil.core.counterfactuals import Counterfactuals
from tests.inputs.case import At, Case, cases

SHORT = ("explainer=[nearest,unchanged]", "metric=[validity,judge_agreement,fid_judge,l1]", "n=12")


def judge_of(at: At, change: Any) -> str:
    """The bench's judge with something done to its weights, as an override."""
    (file,) = at.bench.store.glob("digits-classifier-resnet-*.safetensors")
    weights = load_file(str(file))
    change(weights)
    save_file(weights, str(at.folder / "judge.safetensors"))
    return f"judge.checkpoint={at.folder / 'judge.safetensors'}"


def another_order(weights: dict[str, torch.Tensor]) -> None:
    for name in ("head.weight", "head.bias"):
        weights[name] = weights[name].roll(1, 0).contiguous()


def broken(weights: dict[str, torch.Tensor]) -> None:
    weights["head.bias"][3] = torch.nan


def ranked(at: At, *overrides: str) -> dict[str, Any]:
    """Which metrics of an evaluation are ranked, and which are in doubt."""
    summary = at.bench.evaluate(at.folder / "run", *SHORT, *overrides)
    entries = summary["methods"]["nearest"]
    return {
        "ranked": sorted(set(summary["standing"]) & {"validity", "judge_agreement", "fid_judge"}),
        "doubted": sorted(name for name, entry in entries.items() if entry["doubt"]),
        "judge": bool(summary["queries"]["judge_doubt"]),
        "said": "not ranked: judge:" in (at.folder / "run" / "report.html").read_text(),
    }


def scored(at: At, **changes: np.ndarray) -> int:
    """The rows of an npz of three counterfactuals with something changed, scored again."""
    x = np.full((3, 1, 28, 28), 0.25, np.float32)
    arrays = {"factual": x, "counterfactual": x, "target": np.array([1, 2, 3]), **changes}
    np.savez(at.folder / "theirs.npz", **arrays)  # type: ignore[arg-type]
    options = (f"counterfactuals={at.folder / 'theirs.npz'}", "metric=[validity]", "judge=null")
    return int(at.bench.evaluate(at.folder / "run", *options)["queries"]["rows"]["theirs"])


def asked_and_told(at: At) -> tuple[int, bool]:
    """Rows that are left where one asks for the class of its factual, and whether the page tells."""
    file = at.folder / "found" / "counterfactuals" / "theirs" / "batch-00000.safetensors"
    scored(at)
    (at.folder / "run").rename(at.folder / "found")
    decided = int(Counterfactuals.load(file).source[0])
    others = [k for k in range(10) if k != decided][:2]
    rows = scored(at, target=np.array([decided, *others]))
    page = (at.folder / "run" / "report.html").read_text()
    return rows, "1 rows that ask for the class that is there left out" in page


@cases(
    Case(
        "a good judge",
        lambda at: ranked(at),
        right={
            "ranked": ["judge_agreement", "validity"],
            "doubted": ["fid_judge"],
            "judge": False,
            "said": False,
        },
    ),
    Case(
        "a judge at chance",
        lambda at: ranked(at, judge_of(at, another_order)),
        right={
            "ranked": ["validity"],
            "doubted": ["fid_judge", "judge_agreement", "judge_agreement_valid"],
            "judge": True,
            "said": True,
        },
        warns=("judge: ", "its figures are not ranked", "judge=null"),
    ),
    Case(
        "a judge of NaN weights",
        lambda at: ranked(at, judge_of(at, broken)),
        says=("judge.safetensors", "NaN or infinite values in head.bias", "lower lr"),
    ),
    Case("counterfactuals from elsewhere", scored, right=3),
    Case(
        "a row that asks for what is there",
        asked_and_told,
        right=(2, True),
        warns=("1 of 3 rows of theirs ask for the class", "left out"),
    ),
    Case(
        "a query of a thousand million",
        lambda at: scored(at, query=np.array([0, 1, 10**9])),
        says=("theirs.npz", "query 1000000000 is none of", "number the queries from 0"),
    ),
    Case(
        "half a target",
        lambda at: scored(at, target=np.array([1, 2.5, 3])),
        says=("theirs.npz", "target holds", "whole numbers"),
    ),
    Case(
        "NaN in a counterfactual",
        lambda at: scored(at, counterfactual=np.full((3, 1, 28, 28), np.nan, np.float32)),
        says=("theirs.npz", "counterfactual holds", "expected floats in [0, 1]"),
    ),
)
def test_trust(case: Case, at: At) -> None:
    case.settle(at)
