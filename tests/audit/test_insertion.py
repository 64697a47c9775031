import math

import pytest
import torch

from counterfoil.audit.insertion import Interval, difference, insert, interval_of, order, rank
from counterfoil.audit.regions import Region


@pytest.fixture
def regions():
    corner, left = (torch.zeros(16, 16, dtype=torch.bool) for _ in range(2))
    corner[12:, 12:], left[:, :8] = True, True
    return [Region(left, "A"), Region(corner, "B"), Region(~(left | corner), "rest")]


def test_the_corner_alone_moves_a_network_that_reads_it(corner_cases, corner, regions):
    cf = corner_cases(30)
    effects = insert([cf[:7], cf[7:]], corner, regions, ["brightness", "shape"])
    assert effects.parts == ("A", "B", "rest", "brightness", "shape")
    first, *others = rank(effects.of(["A", "B", "rest"]))
    assert (first.part, first.first, first.flipped.value) == ("B", 1.0, 1.0)
    assert first.moved.low > 0.9
    assert first.lost.low > 0.9
    for other in others:
        assert other.moved.value == pytest.approx(0, abs=1e-6)
        assert other.lost.value == pytest.approx(0, abs=1e-6)
    assert first.flipped.low < 1 == first.flipped.high  # Wilson's: it has a width


def test_directions_and_order_of_methods(corner_cases, corner, regions):
    effects = insert([corner_cases(20)], corner, regions, [])
    one_way = effects[effects.source == 0]
    assert len(one_way) == 10
    assert set(one_way.target.tolist()) == {1}
    assert order({"one": effects, "other": one_way}, ["A", "B", "rest"])[0] == 1


def test_differences_have_intervals_and_unknown_is_null():
    query = torch.arange(40)
    values, split = (query % 2).double(), query % 2 == 0
    found = difference(values, split, query)
    assert (found.value, found.low, found.high) == (-1, -1, -1)
    assert interval_of(values, query).low < 0.5 < interval_of(values, query).high
    assert Interval(0.5, math.nan, 1.0).as_list() == [0.5, None, 1.0]
