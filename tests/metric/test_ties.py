"""Who is best, and who cannot be told from the best."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy import stats

from counterfoil.core.entry import Entry
from counterfoil.metric.ties import _apart, best_of, keyed, over_runs, paired_interval, ranked, standing


def row(better: bool | None = True, n: int = 100, **values: float | None) -> dict[str, Entry]:
    return {name: Entry(value, None, None, n, higher_is_better=better) for name, value in values.items()}


def test_tied_is_whose_paired_difference_holds_zero() -> None:
    entries = row(a=0.9, b=0.84, c=0.8, d=None)
    gaps = {("b", "a"): (-0.13, 0.01), ("c", "a"): (-0.15, -0.05)}
    assert standing(entries, gaps) == {"a": "best", "b": "tied"}
    assert standing(row(False, a=0.9, b=0.84, c=0.8), {("b", "c"): (-0.1, 0.2)}) == {"c": "best", "b": "tied"}


def test_equal_values_are_best_together_and_without_an_interval_nobody_is_tied() -> None:
    assert standing(row(a=1.0, b=1.0, c=0.9), {}) == {"a": "best", "b": "best"}


def test_nobody_wins_by_failing() -> None:
    entries = row(False, n=3, fails=0.01) | row(False, works=0.1)
    assert ranked(entries) == ["works"]
    assert standing(entries, {}) == {"works": "best"}


def test_no_mark_without_a_contest() -> None:
    assert standing(row(a=1.0), {}) == {}
    assert best_of(row(None, a=1.0, b=2.0)) is None


def test_pairing_sees_what_overlapping_intervals_hide() -> None:
    """Queries differ much, methods by the same little everywhere: only the paired interval is clear."""
    hard = torch.rand(50, generator=torch.Generator().manual_seed(0)).tolist()
    one = {(str(i),): value for i, value in enumerate(hard)}
    other = {key: value + 0.01 for key, value in one.items()}
    low, high = paired_interval([(one, other)]) or (0.0, 0.0)
    assert low == pytest.approx(-0.01)
    assert high == pytest.approx(-0.01)


def test_only_common_queries_count_and_one_is_too_few() -> None:
    one, other = {("a",): 1.0, ("b",): 2.0, ("c",): 9.0}, {("a",): 0.0, ("b",): 1.0, ("d",): 5.0}
    assert paired_interval([(one, other)]) == pytest.approx((1.0, 1.0))
    assert paired_interval([({("a",): 1.0}, {("a",): 0.0})]) is None
    assert paired_interval([(one, other | {("a",): float("nan")})]) is None


def test_over_seeds_it_is_students_or_the_queries_where_they_are_wider() -> None:
    runs = [{(str(i),): value + 0.1 * i for i in range(20)} for value in (0.2, 0.5, 0.4)]
    zero = {(str(i),): 0.1 * i for i in range(20)}
    found = paired_interval([(run, zero) for run in runs])
    expected = stats.t.interval(0.95, 2, loc=1.1 / 3, scale=stats.sem([0.2, 0.5, 0.4]))
    assert found == pytest.approx(expected)
    assert over_runs([0.5, 0.5], least=0.2) == pytest.approx((0.3, 0.7))


def test_counterfactuals_of_a_query_are_averaged_and_its_targets_drawn_together() -> None:
    rows = [(("a", "1"), 1.0), (("a", "1"), 3.0), (("b", "1"), float("nan")), (("b", "1"), 4.0)]
    assert keyed(rows) == {("a", "1"): 2.0, ("b", "1"): 4.0}
    gaps = {(str(i), target): float(i % 2) for i in range(10) for target in "abcd"}
    once = {(name, target): value for (name, target), value in gaps.items() if target == "a"}
    found, alone = (paired_interval([(x, dict.fromkeys(x, 0.0))]) for x in (gaps, once))
    assert found == alone


def test_what_is_in_doubt_is_not_ranked() -> None:
    entries = row(a=0.9, b=0.84, c=0.8)
    entries["a"] = replace(entries["a"], doubt="judge: no better than chance")
    assert ranked(entries) == ["b", "c"]
    assert standing(entries, {}) == {"b": "best"}
    assert standing({name: replace(entry, doubt="why") for name, entry in entries.items()}, {}) == {}


def test_times_are_measured_apart_and_one_measurement_tells_nobody_from_the_best() -> None:
    one, other = Entry(0.5, 0.4, 0.6, measured=4), Entry(0.2, 0.1, 0.3, measured=4)
    assert _apart(one, other) == pytest.approx((0.3 - 0.02**0.5, 0.3 + 0.02**0.5))
    bounds = _apart(one, Entry(0.2, measured=1))
    assert bounds[0] < 0 < bounds[1]
