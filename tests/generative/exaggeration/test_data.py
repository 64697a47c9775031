from __future__ import annotations

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.generative.exaggeration.data import BalancedSampler, InOrder, fill


def test_cells_come_up_equally_often_and_rows_belong_to_them() -> None:
    cells = [torch.arange(0, 500), torch.tensor([500]), torch.arange(501, 520), torch.tensor([7, 8])]
    sampler = BalancedSampler(cells, bins=2, batch_size=100, steps=40, seed=0)
    drawn = torch.cat(list(sampler))
    assert drawn.shape == (4000, 3)
    which = drawn[:, 1] * 2 + drawn[:, 2]
    assert bool(((torch.bincount(which, minlength=4) - 1000).abs() < 120).all())
    for cell, rows in enumerate(cells):
        assert set(drawn[which == cell, 0].tolist()) <= set(rows.tolist())


def test_draws_are_a_function_of_seed_and_epoch() -> None:
    def first(seed: int, epoch: int) -> list[int]:
        sampler = BalancedSampler([torch.arange(50)], 1, 8, 2, seed)
        sampler.set_epoch(epoch)
        return next(iter(sampler))[:, 0].tolist()

    assert first(0, 1) == first(0, 1)
    assert len({tuple(first(0, 0)), tuple(first(0, 1)), tuple(first(1, 0))}) == 3


def test_watched_rows_take_the_slots_in_turn() -> None:
    drawn = torch.cat(list(InOrder(torch.tensor([4, 5, 6]), slots=2, batch_size=2)))
    assert drawn.tolist() == [[4, 0, -1], [5, 1, -1], [6, 0, -1]]


def test_a_bin_without_images_is_an_error_or_borrows() -> None:
    bins = torch.tensor([[0, 0, 3, 3, 3]])
    with pytest.raises(UserError, match=r"no training image lies in bin 1 of 0\.\.3.*lower net\.bins"):
        fill(bins, 4, "error")
    cells, borrowed = fill(bins, 4, "borrow")
    assert borrowed.tolist() == [False, True, True, False]
    assert [cell.tolist() for cell in cells] == [[0, 1], [0, 1], [2, 3, 4], [2, 3, 4]]
