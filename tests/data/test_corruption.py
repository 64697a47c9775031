"""Corruptions change what they say, and nothing else."""

from __future__ import annotations

import torch

from counterfoil.data.corruption import blur, noise_like, paint_square, shuffle_pixels


def test_a_square_has_its_size_value_and_place(seeded: torch.Generator) -> None:
    x = torch.full((50, 2, 10, 12), 0.5)
    painted = paint_square(x, 0.5, torch.tensor([1.0, 0.0]).view(1, 2, 1, 1), seeded)
    changed = painted != x
    assert (changed.flatten(2).sum(2) == 5 * 6).all()
    assert set(painted[:, 0].unique().tolist()) == {0.5, 1.0}
    assert set(painted[:, 1].unique().tolist()) == {0.0, 0.5}
    rows, columns = changed[:, 0].any(2), changed[:, 0].any(1)
    assert (rows.sum(1) == 5).all()
    assert (columns.sum(1) == 6).all()
    assert {int(row.nonzero()[0]) for row in rows} == set(range(6))
    assert {int(column.nonzero()[0]) for column in columns} == set(range(7))


def test_each_row_has_its_own_side(seeded: torch.Generator) -> None:
    painted = paint_square(torch.zeros(3, 1, 10, 10), torch.tensor([0.1, 0.4, 1.0]), 1.0, seeded)
    assert painted.flatten(1).sum(1).tolist() == [1, 16, 100]


def test_shuffling_keeps_pixels_whole(seeded: torch.Generator) -> None:
    x = torch.arange(2 * 3 * 4 * 4).view(2, 3, 4, 4).double()
    shuffled = shuffle_pixels(x, seeded)
    assert not torch.equal(shuffled, x)
    for before, after in zip(x.flatten(2), shuffled.flatten(2), strict=True):
        assert {tuple(pixel) for pixel in before.T.tolist()} == {tuple(pixel) for pixel in after.T.tolist()}


def test_blur_is_a_gaussian() -> None:
    x = torch.zeros(1, 2, 31, 31, dtype=torch.float64)
    x[0, 0, 15, 15] = 1
    blurred = blur(x, 2.0)
    torch.testing.assert_close(blurred.sum(), torch.tensor(1.0, dtype=torch.float64))
    ratio = blurred[0, 0, 15, 17] / blurred[0, 0, 15, 15]
    torch.testing.assert_close(ratio, torch.tensor(-0.5, dtype=torch.float64).exp())
    assert (blurred[0, 1] == 0).all()
    flat = torch.full((1, 1, 8, 8), 0.3)
    torch.testing.assert_close(blur(flat, 1.0), flat)


def test_noise_is_uniform_and_repeats_under_one_seed() -> None:
    x = torch.zeros(8, 1, 32, 32)
    first, second = (noise_like(x, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert abs(float(first.mean()) - 0.5) < 0.02
    assert abs(float(first.std()) - 12**-0.5) < 0.02
