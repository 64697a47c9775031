from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from counterfoil.metric.compatibility import Posteriors
from counterfoil.report.html import write_report
from counterfoil.report.strip_picture import draw_strips, save_strips
from counterfoil.report.strips import Reading, read_strips, sheet, strip_view

STEPS = 4


@pytest.fixture
def walked(run):
    """Counterfactuals whose strip of four images goes straight from the factual to an image beyond the counterfactual, which is the third."""
    counterfactuals = run.methods["revise"]
    share = torch.tensor([0.0, 0.5, 1.0, 1.2])[None, :, None, None, None]
    path = (counterfactuals.factual[:, None] + share * counterfactuals.delta[:, None]).clamp(0, 1)
    path[:, 2] = counterfactuals.counterfactual
    path[3] = counterfactuals.factual[3]  # nothing was searched for this one
    return replace(counterfactuals, path=path)


@pytest.fixture
def reading(walked):
    rows = len(walked)
    requested = torch.tensor([0.1, 0.3, 0.6, 0.9]).expand(rows, -1).clone()
    requested[3] = torch.nan
    probability = torch.tensor([0.01, 0.2, 0.7, 0.99]).expand(rows, -1)
    posteriors = Posteriors(requested, requested + 0.02, torch.ones(rows, STEPS), torch.arange(rows) % STEPS)
    return Reading(torch.zeros(rows), probability, probability > 0.5, posteriors)


def test_what_is_said_under_each_image(walked, reading):
    (first, second) = read_strips(walked, [0, 3, 1], ("a", "b"), reading)
    assert (first.row, second.row) == (0, 1), "a query that needed no change has no strip"
    assert (first.query, first.source, first.target, first.start) == (100, "b", "a", 0)
    assert [frame.asked for frame in first.frames] == pytest.approx([0.1, 0.3, 0.6, 0.9])
    assert [frame.said for frame in first.frames] == pytest.approx([0.12, 0.32, 0.62, 0.92])
    assert [frame.own for frame in first.frames] == pytest.approx([0.01, 0.2, 0.7, 0.99])
    assert [frame.decided for frame in first.frames] == [False, False, True, True]
    assert [frame.returned for frame in first.frames] == [False, False, True, False]


def test_without_requests_the_classifiers_own_probability_is_said(walked, reading):
    (strip,) = read_strips(walked, [0], ("a", "b"), reading._replace(posteriors=None))
    assert [(frame.asked, frame.said) for frame in strip.frames] == [
        (None, pytest.approx(p)) for p in (0.01, 0.2, 0.7, 0.99)
    ]
    assert read_strips(replace(walked, path=None), [0], (), reading) == []


def test_the_sheet_holds_images_over_differences(walked, reading):
    strips = read_strips(walked, [0, 1], (), reading)
    made = sheet(walked, strips, scale=1.0)
    assert made.shape == (4 * 8, (STEPS + 1) * 8, 4)
    top, below = made[16:24].reshape(8, STEPS + 1, 8, 4), made[24:].reshape(8, STEPS + 1, 8, 4)
    expected = (walked.counterfactual[1] * 255).round().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(top[:, 3, :, :3], expected)
    assert (top[..., 3] == 255).all()
    assert (below[:, 0, :, 3] == 0).all(), "the factual has no difference"
    assert (below[:, 1, :, 3] == 0).all(), "nor has an image that is the factual"
    largest = walked.delta[1].abs().amax(0)
    np.testing.assert_allclose(below[:, 3, :, 3] / 255, largest.numpy(), atol=0.003)


def test_the_view_knows_whether_the_scale_is_calibrated(walked, reading):
    arguments = ([100, 101, 103], ("a", "b"))
    shown = strip_view(
        "m",
        walked,
        *arguments,
        reading,
        {"m": {"compatibility_rho": {"value": 0.9, "low": 0.8, "high": 1.0}}},
        1.0,
    )
    assert shown.calibrated
    assert shown.asked
    assert shown.columns == STEPS + 1
    assert shown.figures == (("Compatibility rho", "0.900", "[0.800, 1.00]"),)
    assert ">from bin 0<" in shown.plot
    same = reading._replace(probability=reading.posteriors.obtained)
    assert not strip_view("m", walked, *arguments, same, {}, 1.0).calibrated
    bare = strip_view("m", walked, *arguments, None, {}, 1.0)
    assert (bare.plot, bare.asked, bare.figures) == (None, False, ())
    assert strip_view("m", replace(walked, path=None), *arguments, None, {}, 1.0) is None


def test_the_page_shows_strips_of_the_methods_that_have_them(run, walked, reading, tmp_path):
    page = write_report(
        tmp_path / "a.html",
        **vars(run) | {"methods": {**run.methods, "revise": walked}},
        readings={"revise": reading},
    )
    sections = page.read_text(encoding="utf-8").split('class="method"')[1:]
    assert ["Step by step" in section for section in sections] == [True, False, False]
    assert ["Is the request followed?" in section for section in sections] == [True, False, False]
    assert sections[0].count('class="returned"') == sections[0].count("<ol>") > 0


def test_pictures_are_kept_beside_the_page(run, walked, reading, tmp_path):
    files = save_strips(
        tmp_path / "strips", {**run.methods, "revise": walked}, ("a", "b"), {"revise": reading}
    )
    assert [file.name for file in files] == [
        "revise.png",
        "revise-compatibility.svg",
        "revise-compatibility-dark.svg",
    ]
    assert sorted(path.name for path in (tmp_path / "strips").iterdir()) == sorted(
        file.name for file in files
    )
    strips = read_strips(walked, [1], ("a", "b"), reading)
    picture = draw_strips(walked, strips, 1.0)
    assert picture.shape == (*Image.fromarray(picture).size[::-1], 3)
    assert (picture == (31, 95, 191)).all(-1).sum() > 4 * 88, "the counterfactual is framed"
    assert save_strips(tmp_path / "none", {"wachter": run.methods["wachter"]}, ("a", "b"), {}) == []
    assert not (tmp_path / "none").exists()
