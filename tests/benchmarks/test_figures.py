"""The figures that the experiments report, on numbers whose counterfactual is known."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from counterfoil.core.errors import UserError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    """Imports a script of benchmarks/ by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str) -> ModuleType:
        sys.modules.pop(name, None)
        return importlib.import_module(name)

    return load


def _runs(*points: tuple[float, float], n: int = 200) -> np.ndarray:
    """Runs (R, N, 2) with these means: L1, and a share of the judge."""
    return np.stack(
        [np.stack((np.full(n, l1), (np.arange(n) < share * n).astype(float)), 1) for l1, share in points]
    )


def test_matched_difference_is_taken_at_equal_l1(script):
    matched = script("matched")
    one, other = _runs((0.04, 0.2), (0.08, 0.6)), _runs((0.06, 0.5), (0.10, 0.9))
    places = matched.overlap(one, other)
    assert (places[0], places[-1]) == pytest.approx((0.06, 0.08))
    found = matched.differences(one, other, np.array([0.06, 0.08]))
    assert found.shape == (1 + matched.RESAMPLES, 2)
    assert found[0] == pytest.approx([0.5 - 0.4, 0.7 - 0.6])
    elsewhere = {"a": one, "b": _runs((0.05, 0.5), (0.06, 0.9))}
    assert [
        list(row) for row in matched.compared([{"a": one, "b": other}, elsewhere], ("a", "b"), [0.07])
    ] == [["mean over the overlap"]] * 2
    (entry,) = matched.compared([{"a": one, "b": other}], ("a", "b"), [0.07, 0.5])
    assert list(entry) == ["mean over the overlap", "at 0.07"]
    assert entry["at 0.07"]["value"] == pytest.approx(0.1)
    assert entry["at 0.07"]["low"] <= 0.1 <= entry["at 0.07"]["high"]


def test_matched_refuses_curves_that_do_not_meet(script):
    with pytest.raises(UserError, match=r"share no L1: one starts at 0\.080 where the other ends at 0\.050"):
        script("matched").overlap(_runs((0.04, 0.2), (0.05, 0.6)), _runs((0.08, 0.5), (0.1, 0.9)))


def test_a_query_counts_at_the_least_perturbation_of_its_successes(script):
    perturbation = script("perturbation")
    counterfactuals = perturbation.Explained(
        np.array(["7, 1", "7, 1", "8, 1", "9, 1"]),
        {"flipping_ratio": np.array([True, True, False, True])},
        {"l1": np.array([0.3, 0.2, 0.1, 0.4])},
    )
    assert perturbation.nearest(counterfactuals, "flipping_ratio", "l1").tolist() == [0.2, np.inf, 0.4]
