"""Two methods at equal distance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job
from counterfoil.report.view.matched import MEAN, RESAMPLES, Matched, differences, overlap


def runs(*points: tuple[float, float], n: int = 200) -> np.ndarray:
    """Runs (R, N, 2) with these means: L1, and a share of the judge."""
    return np.stack(
        [np.stack((np.full(n, l1), (np.arange(n) < share * n).astype(float)), 1) for l1, share in points]
    )


def test_differences_are_taken_at_equal_distance() -> None:
    one, other = runs((0.04, 0.2), (0.08, 0.6)), runs((0.06, 0.5), (0.10, 0.9))
    places = overlap(one, other)
    assert (places[0], places[-1]) == pytest.approx((0.06, 0.08))
    found = differences(one, other, np.array([0.06, 0.08]))
    assert found.shape == (1 + RESAMPLES, 2)
    assert found[0] == pytest.approx([0.5 - 0.4, 0.7 - 0.6])


def test_curves_that_do_not_meet_are_refused() -> None:
    told = r"share no distance: one starts at 0\.080 where the other ends at 0\.050"
    with pytest.raises(UserError, match=told):
        overlap(runs((0.04, 0.2), (0.05, 0.6)), runs((0.08, 0.5), (0.1, 0.9)))


def test_one_row_per_pair(jobs: list[Job], tmp_path: Path) -> None:
    shown = Matched([("near", "far")], at=(0.07, 0.5)).show(jobs, tmp_path, "matched")
    cells = shown.tables["matched"].rows["far - near"]
    assert list(cells) == [MEAN, "at 0.07"]
    assert cells["at 0.07"].value == pytest.approx(0.625 - 0.4375)
    assert all(path.is_file() for path in shown.files.values())
    also = Matched([("near", "far")], metric="l1", also=["judge_agreement"]).show(jobs, tmp_path, "matched")
    assert also.tables["matched"].rows["far - near"]["judge_agreement"].value == cells[MEAN].value
    assert also.tables["matched"].rows["far - near"][MEAN].value == pytest.approx(0), "at equal L1"
    with pytest.raises(UserError, match="other is not in every job"):
        Matched([("near", "other")]).show(jobs, tmp_path, "matched")
