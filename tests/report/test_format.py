import math

import pytest

from counterfoil.report.format import MAIN, columns, interval, label, number, standing


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (None, "l1", "–"), (math.nan, "l1", "–"), (math.inf, "l1", "–"), (0.0, "l1", "0"), (0.12345, "l1", "0.123"),
        (0.004, "seconds", "0.0040"),
        (0.00012, "l1", "1.2e-4"), (1.5, "im1", "1.50"), (12.34, "l2", "12.3"), (1234.4, "steps", "1,234"), (0.9876, "validity", "98.8"),
        (1.0, "validity", "100"), (0.5, "sparsity_valid", "50.0"), (-0.25, "cout", "-0.250"),
    ],
)  # fmt: skip
def test_figures_by_hand(value, metric, text):
    assert number(value, metric) == text


def test_interval_and_label():
    assert interval({"low": 0.5, "high": 0.75}, "validity") == "[50.0, 75.0]"
    assert interval({"low": None, "high": 1.0}) == interval({}) == interval(None) == ""
    assert label("l1_valid") == "L1, valid"
    assert label("my_metric") == "My metric"


def _row(value, low, high, n=100, better=True):
    return {"m": {"value": value, "low": low, "high": high, "n": n, "higher_is_better": better}}


def test_standing_marks_overlap_with_the_best_only():
    methods = {
        "a": _row(0.9, 0.85, 0.95),
        "b": _row(0.84, 0.78, 0.86),
        "c": _row(0.8, 0.75, 0.84),
        "d": _row(math.nan, None, None),
    }
    assert standing(methods, "m") == {"a": "best", "b": "tied"}
    lower = {name: {"m": {**row["m"], "higher_is_better": False}} for name, row in methods.items()}
    assert standing(lower, "m") == {"c": "best", "b": "tied"}


def test_nobody_wins_by_failing():
    methods = {
        "fails": _row(0.01, 0.0, 0.02, n=3, better=False),
        "works": _row(0.1, 0.09, 0.11, n=100, better=False),
    }
    assert standing(methods, "m") == {"works": "best"}


def test_no_mark_without_a_contest():
    assert standing({"a": _row(1.0, 1.0, 1.0)}, "m") == {}
    assert standing({"a": _row(1.0, 1.0, 1.0, better=None), "b": _row(2.0, 1.0, 3.0, better=None)}, "m") == {}


def test_columns_put_the_main_ones_first():
    methods = {"a": {"steps": {}, "l1": {}, "l1_valid": {}, "l2": {}}, "b": {"validity": {}}}
    assert columns(methods) == ["validity", "l1_valid", "l2", "steps", "l1"]
    assert columns(methods, main_only=True) == ["validity", "l1_valid", "l2"]
    assert columns({"a": {metric: {} for metric in reversed(MAIN)}}) == list(MAIN)
