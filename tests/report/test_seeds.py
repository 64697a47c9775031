"""Means over seeds with intervals that stay in the declared range."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from counterfoil.core.entry import Entry
from counterfoil.report.seeds import over_seeds, pool


def share(value: float, half: float = 0.0, n: int = 10) -> Entry:
    return Entry(value, value - half, value + half, n, "%", True, 0.0, 1.0)


def test_without_a_range_the_interval_is_students() -> None:
    values = [0.2, 0.5, 0.35, 0.4]
    found = pool([Entry(value, value, value, 10, higher_is_better=True) for value in values])
    low, high = stats.t.interval(0.95, 3, loc=sum(values) / 4, scale=stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((0.3625, low, high))
    assert (found.n, found.seeds, found.higher_is_better) == (40, 4, True)


def test_a_positive_unbounded_figure_has_students_interval_of_its_logarithm() -> None:
    values = [15.0, 20.0, 52.0]
    found = pool([Entry(value, value, value, 10, minimum=0.0) for value in values])
    logs = [math.log(value) for value in values]
    half = stats.t.ppf(0.975, 2) * stats.sem(logs)
    mean = sum(values) / 3
    assert (found.value, found.low, found.high) == pytest.approx(
        (mean, mean * math.exp(-half), mean * math.exp(half))
    )
    assert found.low is not None
    assert found.low > 0


def test_a_share_that_is_nearly_always_one_stays_in_range() -> None:
    found = pool([share(value, n=100) for value in (0.96, 1.0, 1.0)])
    assert found.value == pytest.approx(0.98667, abs=1e-4)
    assert found.low is not None
    assert found.high is not None
    assert 0.5 < found.low < 0.98 < found.high <= 1.0


def test_a_small_figure_in_range_is_not_moved_towards_the_middle() -> None:
    """Runs inside the range are not counted as trials: the interval lies around the value."""
    found = pool(
        [Entry(value, value, value, 50, minimum=0.0, maximum=1.0) for value in (0.0195, 0.02, 0.0205)]
    )
    half = stats.t.ppf(0.975, 2) * stats.sem([0.0195, 0.02, 0.0205])
    assert (found.low, found.high) == pytest.approx((0.02 - half, 0.02 + half), abs=1e-4)
    still = pool([Entry(0.0, 0.0, 0.0, 50, minimum=0.0, maximum=1.0)] * 3)
    assert (still.low, still.high) == (0.0, 0.0)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.integers(1, 1000))
def test_shares_of_all_kinds_stay_in_range_and_hold_their_mean(values: list[float], n: int) -> None:
    found = pool([share(value, n=n) for value in values])
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=6))
def test_distances_never_go_below_zero(values: list[float]) -> None:
    found = pool([Entry(value, value, value, 5, minimum=0.0) for value in values])
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high


def test_runs_that_agree_are_as_uncertain_as_their_queries() -> None:
    """Three runs at 0.5 +- 0.06: the mean of three independent means is 0.06 / sqrt(3) wide to each side."""
    found = pool([Entry(0.5, 0.44, 0.56, 10)] * 3)
    assert found.high == pytest.approx(0.5 + 0.06 / 3**0.5)
    assert found.low == pytest.approx(0.5 - 0.06 / 3**0.5)


def test_one_run_keeps_its_interval_and_missing_figures_are_left_out() -> None:
    one = over_seeds([{"revise": {"l1": Entry(0.3, 0.2, 0.4, 10)}}, {"revise": {"l1": Entry(None)}}])[
        "revise"
    ]["l1"]
    assert (one.value, one.seeds, one.n, one.low, one.high) == (0.3, 1, 10, 0.2, 0.4)
    none = over_seeds([{"revise": {"l1": Entry(None)}}])["revise"]["l1"]
    assert (none.value, none.low, none.seeds) == (None, None, 0)


def test_a_method_of_some_runs_alone_is_kept() -> None:
    found = over_seeds([{"a": {"l1": Entry(1.0)}}, {"a": {"l1": Entry(3.0)}, "b": {"l1": Entry(5.0)}}])
    assert (found["a"]["l1"].seeds, found["b"]["l1"].seeds) == (2, 1)


def test_one_run_in_doubt_leaves_the_mean_in_doubt() -> None:
    doubted = replace(share(0.5), doubt="judge: no better than chance")
    assert pool([share(0.4), doubted]).doubt == pool([doubted]).doubt == doubted.doubt
    assert pool([share(0.4), replace(doubted, value=None)]).doubt == doubted.doubt
    assert pool([share(0.4), share(0.5)]).doubt == ""
