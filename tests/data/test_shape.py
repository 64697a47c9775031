import pytest
import torch

from counterfoil.data.shape import ShapeScale, measure


def bar(width: int, lean: int = 0, height: int = 16) -> torch.Tensor:
    """A bar whose top stands `lean` columns to the right of its foot."""
    x = torch.zeros(1, 1, 28, 28)
    for row in range(height):
        left = 10 + round(lean * (height - 1 - row) / (height - 1))
        x[0, 0, 6 + row, left : left + width] = 0.9
    return x


def test_measures_of_bars_by_hand():
    thickness, slant, width = measure(bar(4))[0].tolist()
    assert thickness == pytest.approx(2 * 64 / 40)
    assert slant == 0
    assert width == pytest.approx((12 * 15 / 12) ** 0.5)  # variance of four columns: (16 - 1) / 12
    assert measure(torch.zeros(2, 1, 8, 8)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_slant_is_the_tangent_and_leaning_right_is_positive():
    slanted = measure(torch.cat((bar(3, 8), bar(3, -8))))
    torch.testing.assert_close(slanted[:, 1], torch.tensor([8 / 15, -8 / 15]), atol=0.03, rtol=0)
    assert (slanted[:, 2] - measure(bar(3))[0, 2]).abs().max() < 0.6  # the width is measured upright


def test_brightness_does_not_count():
    torch.testing.assert_close(measure(bar(4)), measure(0.3 * bar(4)))


def test_scale_maps_percentiles_to_zero_and_one():
    images = torch.cat([bar(width) for width in range(2, 13)])
    scaled = ShapeScale(images)(images)
    assert scaled[0, 0] == 0
    assert scaled[-1, 0] == 1
    assert bool((scaled[1:, 0] >= scaled[:-1, 0]).all())
    assert 0 <= scaled.min() <= scaled.max() <= 1
