import re
from xml.etree import ElementTree

from counterfoil.core.entry import Entry
from counterfoil.report.plot import against, curves, families, inline_svg, save_both, scatter, trails

SHARE = {"unit": "%", "minimum": 0.0, "maximum": 1.0}


def test_scatter_leaves_out_methods_without_both_figures(run):
    svg = inline_svg(scatter(run.summary["methods"], "l1_valid", "validity"), "a")
    assert ">revise<" in svg
    assert ">wachter<" in svg
    assert "own" not in svg


def test_points_and_intervals_are_where_the_figures_are(run):
    axes = scatter(run.summary["methods"], "l1", "validity").axes[0]
    middle = [container.lines[0].get_xydata()[0].tolist() for container in axes.containers]
    assert middle == [
        [row["l1"].value, row["validity"].value * 100] for row in run.summary["methods"].values()
    ]
    vertical = axes.containers[0].lines[2][1].get_segments()[0]
    assert [round(y, 6) for _, y in vertical] == [45, 100]


def test_many_names_in_one_corner_do_not_cover_each_other():
    rows = {
        f"a_long_name_{k}": {"x": Entry(0.5 + 0.008 * k), "y": Entry(0.5 + 0.008 * (k % 5))}
        for k in range(14)
    }
    rows["far"] = {"x": Entry(1.0), "y": Entry(1.0)}
    figure = scatter(rows, "x", "y")
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    assert len(boxes) == 15
    crowd = [(one, other) for k, one in enumerate(boxes) for other in boxes[:k] if one.overlaps(other)]
    assert not crowd


def test_inline_svg_is_wellformed_themed_and_deterministic(run):
    svg = inline_svg(scatter(run.summary["methods"], "l1", "validity"), "p1")
    assert svg == inline_svg(scatter(run.summary["methods"], "l1", "validity"), "p1")
    ElementTree.fromstring(svg)
    assert "var(--ink)" in svg
    assert "var(--s2)" in svg
    assert "http" not in svg
    assert not re.search(r"#0[a0]0\d", svg)
    ids = set(re.findall(r'\bid="([^"]*)"', svg))
    assert all(name.startswith("p1-") for name in ids)
    assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', svg)) <= ids


def test_names_are_text_not_markup_or_mathematics(run):
    root = ElementTree.fromstring(inline_svg(scatter(run.summary["methods"], "l1", "validity"), "a"))
    assert "<b>own</b> & $co$ {{ x }}" in {(element.text or "").strip() for element in root.iter()}


def test_curve_with_a_gap_and_both_themes(tmp_path):
    entries = [Entry(0.5, 0.4, 0.6), Entry(None), Entry(0.9, 0.8, 1.0)]
    figure = against([0.5, 0.8, 0.95], {"revise": entries}, "requested", "obtained")
    assert figure.axes[0].lines[1].get_ydata()[[0, 2]].tolist() == [0.5, 0.9]
    files = save_both(figure, tmp_path / "curve.svg")
    light, dark = (path.read_text() for path in files.values())
    assert light != dark
    assert "var(--" not in light + dark
    assert (
        {path.name for path in tmp_path.iterdir()}
        == {"curve.svg", "curve-dark.svg"}
        == {f"{n}.svg" for n in files}
    )


def test_panels_share_positions_and_a_legend():
    share = [Entry(0.5, 0.4, 0.6, **SHARE), Entry(0.9, 0.8, 1.0, **SHARE)]
    distance = [Entry(0.01, 0.005, 0.02, label="L1, valid"), Entry(0.02, 0.01, 0.03, label="L1, valid")]
    figure = curves(
        [0.5, 0.9],
        {"validity": {"a": share, "b": share}, "l1_valid": {"a": distance, "b": distance}},
        "confidence",
    )
    assert [axes.lines[0].get_xydata().tolist() for axes in figure.axes] == [
        [[0.5, 50], [0.9, 90]],
        [[0.5, 0.01], [0.9, 0.02]],
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["Validity, %", "L1, valid"]


def test_trails_whose_colour_comes_again_are_dashed():
    rows = [{"l1": Entry(x), "im1": Entry(x)} for x in (0.1, 0.2)]
    axes = trails({f"method {i}": rows for i in range(9)}, "l1", "im1").axes[0]
    lines = [container.lines[0] for container in axes.containers]
    assert lines[8].get_color() == lines[0].get_color()
    assert [line.get_linestyle() for line in lines] == ["-"] * 8 + ["--"]


def test_a_trail_joins_the_rows_of_a_method_in_their_order():
    rows = [
        {
            "l1": Entry(x, x - 0.01, x + 0.02),
            "judge_agreement": Entry(y, y - 0.1, y + 0.1, **SHARE),
        }
        for x, y in ((0.05, 0.6), (0.04, 0.8))
    ]
    axes = trails({"disc": rows, "lso": rows[:1]}, "l1", "judge_agreement").axes[0]
    assert [[x, round(y, 6)] for x, y in axes.containers[0].lines[0].get_xydata().tolist()] == [
        [0.05, 60],
        [0.04, 80],
    ]
    across, along = axes.containers[0].lines[2]
    assert [round(x, 6) for x, _ in across.get_segments()[0]] == [0.04, 0.07]
    assert [round(y, 6) for _, y in along.get_segments()[1]] == [70, 90]
    assert axes.get_ylabel() == "Judge agreement, %"
    assert [text.get_text() for text in axes.texts] == ["lso"], "a single row is a point with its name"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["disc"]


def test_families_have_a_colour_each_and_every_method_its_name():
    def row(x, y):
        return {"l1": Entry(x, x, x), "judge_agreement": Entry(y, y, y, **SHARE)}

    kinds = {
        "pixels": {"a": [row(0.01, 0.1), row(0.03, 0.2)], "b": [row(0.02, 0.3), row(0.04, 0.4)]},
        "code": {"c": [row(0.05, 0.6), row(0.06, 0.9)]},
    }
    figure = families(kinds, {"still": row(0.0, 0.0)}, "l1", "judge_agreement")
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert [line.get_xydata().tolist()[-1] for line in lines] == [[0.03, 20.0], [0.04, 40.0], [0.06, 90.0]]
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()
    assert {text.get_text() for text in figure.axes[0].texts} == {"a", "b", "c", "still"}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["pixels", "code"]
