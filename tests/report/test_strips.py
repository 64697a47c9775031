import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from counterfoil.core.entry import Entry
from counterfoil.core.strip import Scale
from counterfoil.report.html import write_report
from counterfoil.report.strips import read_strips, sheet, strip_view, with_strips

STEPS = 4


OWN = [0.01, 0.2, 0.7, 0.99]


"""The classifier's own posterior of the target along each strip."""


@pytest.fixture
def calibrated(walked):
    """The same, requested on a scale of temperature 2."""
    scale = Scale.plain(walked.target, walked.strip.requested)
    scale = scale._replace(temperature=torch.full((len(walked),), 2.0))
    return replace(walked, strip=replace(walked.strip, scale=scale))


def test_what_is_said_under_each_image(calibrated):
    (first, second) = read_strips(with_strips(calibrated, [100, 103, 101]), ("a", "b"))
    assert (first.row, second.row) == (0, 1), "a query that needed no change has no strip"
    assert (first.query, first.source, first.target) == (100, "b", "a")
    assert first.start == pytest.approx(1 / (1 + math.exp(4)))
    said = [1 / (1 + ((1 - p) / p) ** 0.5) for p in OWN]
    for strip in (first, second):
        assert [frame.requested for frame in strip.frames] == pytest.approx([0.1, 0.3, 0.6, 0.9])
        assert [frame.said for frame in strip.frames] == pytest.approx(said)
        assert [frame.own for frame in strip.frames] == pytest.approx(OWN)
    assert [frame.decided for frame in first.frames] == [False, False, True, True]
    assert [frame.returned for frame in first.frames] == [False, False, True, False]


def test_without_requests_the_classifiers_own_probability_is_said(walked):
    plain = replace(walked, strip=replace(walked.strip, requested=None))
    (strip,) = read_strips(plain[:1], ("a", "b"))
    assert [(frame.requested, frame.said) for frame in strip.frames] == [
        (None, pytest.approx(p)) for p in OWN
    ]
    assert with_strips(replace(walked, strip=None), [100]) is None


def test_the_sheet_holds_images_over_differences(walked):
    shown = walked[:2]
    made = sheet(shown, read_strips(shown, ()), scale=1.0)
    assert made.shape == (4 * 8, (STEPS + 1) * 8, 4)
    top, below = made[16:24].reshape(8, STEPS + 1, 8, 4), made[24:].reshape(8, STEPS + 1, 8, 4)
    expected = (walked.counterfactual[1] * 255).round().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(top[:, 3, :, :3], expected)
    assert (top[..., 3] == 255).all()
    assert (below[:, 0, :, 3] == 0).all(), "the factual has no difference"
    assert (below[:, 1, :, 3] == 0).all(), "nor has an image that is the factual"
    largest = walked.delta[1].abs().amax(0)
    np.testing.assert_allclose(below[:, 3, :, 3] / 255, largest.numpy(), atol=0.003)


def test_the_view_knows_whether_the_scale_is_calibrated(walked, calibrated):
    arguments = ([100, 101, 103], ("a", "b"))
    shown = strip_view(
        "m",
        calibrated,
        *arguments,
        {"m": {"compatibility_rho": Entry(0.9, 0.8, 1.0, role="strip")}},
        1.0,
    )
    assert shown.calibrated
    assert shown.requested
    assert shown.columns == STEPS + 1
    assert shown.figures == (("Compatibility rho", "0.900", "[0.800, 1.00]"),)
    assert ">from bin 0<" in shown.plot
    assert not strip_view("m", walked, *arguments, {}, 1.0).calibrated
    plain = replace(walked, strip=replace(walked.strip, requested=None))
    bare = strip_view("m", plain, *arguments, {}, 1.0)
    assert (bare.plot, bare.requested, bare.figures) == (None, False, ())
    assert strip_view("m", replace(walked, strip=None), *arguments, {}, 1.0) is None


def test_the_page_shows_strips_of_the_methods_that_have_them(run, walked, tmp_path):
    methods = {**run.methods, "revise": walked}
    page = write_report(tmp_path / "a.html", **vars(run) | {"methods": methods})
    sections = page.read_text(encoding="utf-8").split('class="method"')[1:]
    assert ["Step by step" in section for section in sections] == [True, False, False]
    assert ["Is the request followed?" in section for section in sections] == [True, False, False]
    assert sections[0].count('class="returned"') == sections[0].count("<ol>") > 0
