"""Intervals: coverage, grouping by query, shares, degenerate cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from counterfoil.metric import bootstrap
from counterfoil.metric.bootstrap import (
    mean_interval,
    percentiles,
    query_weights,
    resampled_means,
    share_interval,
    wilson,
)


def interval(values, query, seed=0, resamples=1000):
    return mean_interval(values, query, resampled_means(values[:, None], query, resamples, seed)[:, 0])


def test_weights_draw_as_many_queries_as_there_are_and_keep_their_rows_together():
    query = torch.tensor([7, 3, 7, 7, 9])
    weights = torch.cat(list(query_weights(query, 50, seed=1)))
    assert weights.shape == (50, 5)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] == weights[:, 3]).all()
    assert (weights[:, [0, 1, 4]].sum(1) == 3).all()


def test_means_are_those_of_the_drawn_rows():
    values, query = (
        torch.tensor([[1.0, 5.0], [2.0, math.nan], [4.0, math.nan], [8.0, 1.0]]),
        torch.tensor([0, 0, 1, 2]),
    )
    weights = torch.cat(list(query_weights(query, 20, seed=2))).long()
    means = resampled_means(values, query, 20, seed=2)
    for r in range(20):
        drawn = values.numpy().repeat(weights[r].numpy(), axis=0)
        for column in range(2):
            defined = drawn[~np.isnan(drawn[:, column]), column]
            assert float(means[r, column]) == pytest.approx(
                defined.mean() if len(defined) else math.nan, nan_ok=True
            )


def test_blocks_do_not_change_the_draws(monkeypatch):
    query = torch.arange(10)
    whole = torch.cat(list(query_weights(query, 8, seed=0)))
    monkeypatch.setattr(bootstrap, "_BLOCK", 30)
    blocks = list(query_weights(query, 8, seed=0))
    assert [len(block) for block in blocks] == [3, 3, 2]
    assert torch.equal(torch.cat(blocks), whole)


def test_seed_decides():
    values, query = torch.randn(40, generator=torch.Generator().manual_seed(0)), torch.arange(40)
    assert interval(values, query, seed=3) == interval(values, query, seed=3)
    assert interval(values, query, seed=3) != interval(values, query, seed=4)


def test_mean_is_covered_about_95_times_in_100():
    generator = torch.Generator().manual_seed(0)
    hits = 0
    for trial in range(300):
        low, high = interval(
            torch.randn(80, generator=generator).exp(), torch.arange(80), seed=trial, resamples=400
        )
        hits += low <= math.exp(0.5) <= high
    assert 0.87 <= hits / 300 <= 0.98


def test_rows_of_one_query_are_not_independent_evidence():
    """Each query explained ten times with the same value: the interval is that of the queries."""
    values = torch.randn(50, generator=torch.Generator().manual_seed(1))
    once = interval(values, torch.arange(50))
    tenfold = interval(values.repeat_interleave(10), torch.arange(50).repeat_interleave(10))
    assert tenfold == pytest.approx(once)
    ignored = interval(values.repeat_interleave(10), torch.arange(500))
    assert ignored[1] - ignored[0] < 0.5 * (once[1] - once[0])


def test_scipy_agrees_on_the_width():
    values = torch.rand(60, generator=torch.Generator().manual_seed(2))
    low, high = interval(values, torch.arange(60), resamples=4000)
    theirs = scipy.stats.bootstrap(
        (values.numpy(),), np.mean, method="percentile", n_resamples=4000, random_state=0
    ).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (20, 20), (7, 20), (990, 1000), (1, 1)])
def test_wilson_is_scipys(successes, n):
    theirs = scipy.stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_share_of_one_row_a_query_is_wilsons():
    values, query = torch.tensor([1.0, 0.0, 1.0, 1.0, math.nan]), torch.arange(5)
    samples = resampled_means(values[:, None], query)[:, 0]
    assert share_interval(values, query, samples) == wilson(0.75, 4)


def test_share_of_several_rows_a_query_is_bootstrapped_unless_all_agree():
    query = torch.arange(20).repeat_interleave(2)
    values = (torch.arange(40) % 4 < 1).double()
    samples = resampled_means(values[:, None], query)[:, 0]
    assert share_interval(values, query, samples) == percentiles(samples)
    assert share_interval(torch.ones(40), query, torch.ones(1000)) == wilson(1.0, 20)


def test_nothing_defined_gives_nan():
    none, query = torch.full((3,), math.nan), torch.arange(3)
    samples = resampled_means(none[:, None], query)[:, 0]
    assert all(math.isnan(x) for x in mean_interval(none, query, samples))
    assert all(math.isnan(x) for x in share_interval(none, query, samples))
    assert all(math.isnan(x) for x in interval(torch.zeros(0), torch.zeros(0, dtype=torch.long)))


def test_one_query_tells_no_spread():
    values, query = torch.tensor([1.0, 2.0, math.nan]), torch.tensor([4, 4, 5])
    assert all(math.isnan(x) for x in interval(values, query))
