"""The trade-off of each query over the rounds, by hand."""

from __future__ import annotations

import math

import torch

from counterfoil.search import Tradeoff


def test_failures_multiply() -> None:
    rule = Tradeoff(initial=2.0, factor=10.0)
    value, failed, succeeded = rule.start(torch.zeros(1, dtype=torch.float64))
    seen = [float(value)]
    for _ in range(2):
        value, failed, succeeded = rule.update(value, failed, succeeded, torch.tensor([False]))
        seen.append(float(value))
    assert seen == [2.0, 20.0, 200.0]
    assert float(failed) == 20.0
    assert math.isinf(float(succeeded))


def test_successes_close_in_from_both_sides() -> None:
    """1 fails, 10 succeeds, sqrt(10) fails, then sqrt(10 sqrt(10))."""
    rule = Tradeoff(initial=1.0, factor=10.0, bisect=True)
    state = rule.start(torch.zeros(1, dtype=torch.float64))
    seen = []
    for success in (False, True, False):
        state = rule.update(*state, torch.tensor([success]))
        seen.append(float(state[0]))
    assert seen == [10.0, math.sqrt(10.0), math.sqrt(10.0 * math.sqrt(10.0))]


def test_success_at_once_tries_smaller_ones() -> None:
    rule = Tradeoff(initial=1.0, factor=4.0, bisect=True)
    state = rule.start(torch.zeros(1, dtype=torch.float64))
    state = rule.update(*state, torch.tensor([True]))
    assert float(state[0]) == 0.25
    state = rule.update(*state, torch.tensor([False]))
    assert float(state[0]) == 0.5


def test_rows_do_not_see_each_other() -> None:
    rule = Tradeoff(initial=1.0, factor=10.0)
    state = rule.start(torch.zeros(3, dtype=torch.float64))
    value, failed, succeeded = rule.update(*state, torch.tensor([True, False, True]))
    assert value.tolist() == [0.1, 10.0, 0.1]
    assert failed.tolist() == [0.0, 1.0, 0.0]
    assert succeeded.tolist() == [1.0, math.inf, 1.0]
