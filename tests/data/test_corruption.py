"""Corruptions change what they say, and nothing else."""

from __future__ import annotations

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.data.corruption import (
    Blur,
    Contrast,
    Missing,
    Noise,
    Square,
    blur,
    noise_like,
    paint_square,
    shuffle_pixels,
)


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


def test_noise_has_its_deviation_and_stays_in_range(seeded: torch.Generator) -> None:
    x = torch.full((4, 1, 64, 64), 0.5)
    noisy = Noise(0.1)(x, seeded)
    assert abs(float(noisy.std()) - 0.1) < 0.002
    assert 0 <= float(noisy.min()) <= float(noisy.max()) <= 1


def test_missing_pixels_are_black_in_all_channels(seeded: torch.Generator) -> None:
    holes = Missing(0.3)(torch.ones(4, 3, 64, 64), seeded)
    assert torch.equal(holes[:, 0], holes[:, 2])
    assert abs(float(holes.mean()) - 0.7) < 0.01


def test_what_is_not_drawn(seeded: torch.Generator) -> None:
    x = torch.rand(2, 1, 8, 8, generator=seeded)
    torch.testing.assert_close(Contrast(0.5)(x, seeded), (x + 0.5) / 2)
    assert torch.equal(Blur(1.0)(x, seeded), blur(x, 1.0))


def test_images_stay_in_range_whatever_the_strength(seeded: torch.Generator) -> None:
    x = torch.tensor([0.0, 0.4, 0.5, 0.6, 1.0]).view(1, 1, 1, 5)
    torch.testing.assert_close(Contrast(4.0)(x, seeded), torch.tensor([[[[0.0, 0.1, 0.5, 0.9, 1.0]]]]))
    with pytest.raises(UserError, match="sigma=0: expected a number above 0"):
        Blur(0.0)


def test_a_square_in_the_middle() -> None:
    square = Square(2, 1.0, "middle")
    x = torch.zeros(2, 3, 6, 6)
    assert square.inside(x).nonzero()[:, 2:].tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]
    assert torch.equal(square(x, torch.Generator()), square.inside(x).expand_as(x).float())


def test_a_side_is_a_share_or_pixels(seeded: torch.Generator) -> None:
    x = torch.zeros(3, 1, 8, 8)
    for side in (0.25, 2):
        assert Square(side, 1.0)(x, seeded).flatten(1).sum(1).tolist() == [4.0] * 3
        assert int(Square(side, 1.0, "middle").inside(x).sum()) == 4


def test_squares_that_are_refused() -> None:
    with pytest.raises(UserError, match="place=left is not supported; choose one of: random, middle"):
        Square(place="left")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="at most 6 pixels"):
        Square(7, place="middle").inside(torch.zeros(1, 1, 6, 6))
    with pytest.raises(UserError, match="Square: side=-1: expected a number of at least 0"):
        Square(-1)


def test_no_square_at_all(seeded: torch.Generator) -> None:
    x = torch.rand(2, 1, 6, 6, generator=seeded)
    for place in ("middle", "random"):
        assert torch.equal(Square(0, place=place)(x, seeded), x)  # type: ignore[arg-type]
    assert not Square(0, place="middle").inside(x).any()
