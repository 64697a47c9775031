"""Strokes of drawn shapes, whose thickness, slant and width are known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.metric.stroke import StrokeChange, slant, stroke_changes, thickness, width


def bar(wide: int, high: int = 20, lean: float = 0.0, size: int = 28) -> torch.Tensor:
    """An upright bar (1, 1, size, size), each row moved to the right by `lean` for each row it is higher."""
    x = torch.zeros(1, 1, size, size)
    top, left = (size - high) // 2, (size - wide) // 2
    for row in range(top, top + high):
        shift = round(lean * (size // 2 - row))
        x[0, 0, row, left + shift : left + shift + wide] = 1
    return x


@pytest.mark.parametrize("wide", [2, 3, 4])
def test_thickness_of_a_long_bar_is_its_own(wide: int) -> None:
    area, outline = wide * 26, 2 * wide + 2 * 26 + (2**0.5 - 2)
    assert float(thickness(bar(wide, 26))) == pytest.approx(2 * area / outline)
    assert float(thickness(bar(wide, 26))) == pytest.approx(wide, rel=0.15)


def test_thickness_does_not_depend_on_brightness() -> None:
    torch.testing.assert_close(thickness(0.5 * bar(3)), thickness(bar(3)))


@pytest.mark.parametrize("lean", [-0.5, 0.0, 0.5, 1.0])
def test_slant_is_the_shear(lean: float) -> None:
    assert float(slant(bar(3, 20, lean))) == pytest.approx(lean, abs=0.03)


@pytest.mark.parametrize("lean", [0.0, 1.0])
def test_width_is_that_of_the_upright_shape(lean: float) -> None:
    assert float(width(bar(6, 18, lean))) == pytest.approx(5, abs=0.6)


def test_moved_ink_keeps_all_three() -> None:
    x = bar(4, 16, 0.5)
    for measure in (thickness, slant, width):
        torch.testing.assert_close(measure(x.roll((2, -3), (2, 3))), measure(x), atol=1e-4, rtol=1e-4)


def test_no_ink_is_not_defined() -> None:
    for measure in (thickness, slant, width):
        assert bool(measure(torch.zeros(2, 1, 8, 8)).isnan().all())


def test_changes_are_counted_in_standard_deviations(make) -> None:
    bars = torch.cat([bar(2), bar(3), bar(5), torch.zeros(1, 1, 28, 28)])
    images = SimpleNamespace(x=bars)
    split = type(
        "Split", (), {"__len__": lambda s: 4, "__getitem__": lambda s, r: SimpleNamespace(x=images.x[r])}
    )
    data = SimpleNamespace(queried=split())
    deviation = thickness(bars)[:3].double().std()
    cf = SimpleNamespace(factual=bar(2), counterfactual=bar(4))
    expected = float((thickness(bar(4)) - thickness(bar(2))).abs() / deviation)
    assert float(StrokeChange("thickness", data).score(cf)) == pytest.approx(expected)
    assert StrokeChange("slant", data).label == "Slant change"
    assert set(stroke_changes(data)) == {"thickness_change", "slant_change", "width_change"}


def test_images_with_colours_are_refused(make) -> None:
    with pytest.raises(UserError, match="metric=strokes measures digits of one channel, found 2"):
        evaluate_metrics(stroke_changes(SimpleNamespace(queried=None)), make(4))
