"""Plots of a sweep: every trial is there, with its link, whatever kind its options are of."""

from __future__ import annotations

from counterfoil.core.entry import Entry
from counterfoil.report.plot import inline_svg
from counterfoil.report.sweep_plot import Point, importances, parallel, trials

POINTS = [
    Point(
        str(i),
        {"m.lr": 10.0**-i, "m.flip": ["margin", None][i % 2], "m.steps": 5},
        {
            "l1": Entry(0.1 * i, higher_is_better=False),
            "judge": Entry(0.2 * i, unit="%", higher_is_better=True),
        },
        f"{i}/report.html",
        i > 1,
    )
    for i in range(4)
]


def test_each_point_opens_its_page() -> None:
    svg = inline_svg(trials(POINTS, "l1", "judge", {"3": "3"}), "t")
    assert all(f'href="{i}/report.html"' in svg for i in range(4))
    assert ">3<" in svg


def test_an_axis_shows_names_and_both_ends() -> None:
    svg = inline_svg(parallel(POINTS, ["m.lr", "m.flip", "m.steps"], ["judge"]), "p")
    for text in ("lr", "margin", "None", "0.001", "1", "5", "60"):
        assert f">{text}<" in svg


def test_figures_that_are_missing_leave_the_others() -> None:
    points = [*POINTS, Point("9", {"m.lr": 1.0}, {"l1": Entry(None)}, "9/report.html")]
    assert "9/report.html" not in inline_svg(trials(points, "l1", "judge"), "t")


def test_importances_have_a_bar_per_option() -> None:
    svg = inline_svg(importances({"l1": {"m.lr": 0.8, "m.flip": 0.2}}), "i")
    assert ">lr<" in svg
    assert ">flip<" in svg
