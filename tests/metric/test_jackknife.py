"""Intervals of numbers of a whole set: closed form, groups, and coverage by simulation."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import ttest_1samp

from counterfoil.metric.jackknife import jackknife, shared_groups, shared_interval, weights_without
from counterfoil.metric.realism import JudgeFID, JudgeKID


def without(query, groups, seed=0):
    return torch.cat(list(weights_without(query, groups, seed)))


def test_of_a_mean_it_is_students():
    values = torch.randn(20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    samples = (values.sum() - values) / 19
    expected = ttest_1samp(values.numpy(), 0).confidence_interval(0.95)
    assert jackknife(samples, float(values.mean())) == pytest.approx((expected.low, expected.high))


def test_fewer_than_two_groups_tell_no_spread():
    assert all(math.isnan(end) for end in jackknife(torch.tensor([1.0]), 1.0))
    assert all(math.isnan(end) for end in jackknife(torch.zeros(0), 1.0))
    assert all(math.isnan(end) for end in jackknife(torch.tensor([1.0, 2.0, math.nan]), math.nan))


def test_every_query_is_left_out_once_with_all_its_rows():
    query = torch.tensor([5, 5, 7, 9, 9, 9, 11])
    weights = without(query, groups=2)
    assert weights.shape == (2, 7)
    torch.testing.assert_close((1 - weights).sum(0), torch.ones(7, dtype=torch.float64))
    assert all(len(set(row[query == q].tolist())) == 1 for row in weights for q in query.unique())
    assert without(query, groups=50).shape == (4, 7)


def test_groups_follow_from_the_seed():
    query = torch.arange(40)
    assert torch.equal(without(query, 8), without(query, 8))
    assert not torch.equal(without(query, 8), without(query, 8, seed=1))


@pytest.mark.parametrize(("cls", "features"), [(JudgeFID, 6), (JudgeFID, 40), (JudgeKID, 6)])
def test_it_covers_the_number_and_is_as_wide_as_its_spread(cls, features):
    """Sets of 60 rows of 6 or 40 features; of 40 the bootstrap is half as wide again."""
    generator = torch.Generator().manual_seed(0)

    def rows(n, shift):
        return torch.randn(n, features, dtype=torch.float64, generator=generator).add(shift).relu()

    metric, query = cls(torch.nn.Identity(), object()), torch.arange(60)
    metric._prepare(rows(500, 0.0))
    sets = [rows(60, 0.3) for _ in range(150)]
    values = torch.cat([metric._distances(x, torch.ones(1, 60, dtype=torch.float64)) for x in sets])
    weights = without(query, 20)
    found = [jackknife(metric._distances(x, weights), float(v)) for x, v in zip(sets, values, strict=True)]
    middle = float(values.mean())
    assert 0.88 <= sum(low <= middle <= high for low, high in found) / 150 <= 0.99
    half = sum(high - low for low, high in found) / 300
    assert 0.8 < half / (2.09 * float(values.std())) < 1.3


def test_equal_values_side_by_side_are_one_measurement():
    values = torch.tensor([0.1, 0.1, 0.1, 0.3, 0.3, 0.1, 0.2])
    assert shared_groups(values).tolist() == [0, 0, 0, 1, 1, 2, 3]
    assert shared_groups(values[:0]).tolist() == []


def test_the_interval_of_a_shared_time_counts_batches_not_rows():
    batches = torch.tensor([0.1, 0.2, 0.4, 0.3], dtype=torch.float64)
    values = batches.repeat_interleave(64)
    expected = ttest_1samp(batches.numpy(), 0).confidence_interval(0.95)
    found = shared_interval(values, shared_groups(values), 0.25)
    assert found == pytest.approx((expected.low, expected.high))
    one = torch.full((64,), 0.2, dtype=torch.float64)
    assert all(math.isnan(end) for end in shared_interval(one, shared_groups(one), 0.2))
    none = torch.full((4,), math.nan)
    assert all(math.isnan(end) for end in shared_interval(none, shared_groups(none), math.nan))
