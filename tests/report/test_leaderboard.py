import io

import pytest
from rich.console import Console

from counterfoil.report.format import MAIN
from counterfoil.report.leaderboard import leaderboard, to_markdown


def _printed(summary, width, **options):
    out = io.StringIO()
    Console(file=out, width=width, **options).print(leaderboard(summary, title="12 queries"))
    return out.getvalue()


def test_terminal_table(run):
    text = _printed(run.summary, 100)
    assert "12 queries" in text
    assert "9/12" in text
    assert "75.0" in text
    assert "±30.0" in text
    assert "–" in text
    assert "<b>own</b>" in text
    assert "↑" in text
    assert "↓" in text


def test_names_are_not_markup(run):
    run.summary["methods"] = {"[red]name": run.summary["methods"]["revise"]}
    assert "[red]name" in _printed(run.summary, 100)


@pytest.mark.parametrize("width", [80, 100])
def test_all_main_metrics_fit(width):
    entry = {"value": 0.9371, "low": 0.9, "high": 0.99, "n": 1000, "higher_is_better": True}
    row = dict.fromkeys(MAIN, entry) | {
        "fid_judge": {**entry, "value": 1640.0, "low": 1500.0, "high": 1800.0}
    }
    lines = _printed({"methods": {"growing_spheres": row, "revise": row}}, width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    assert any(line.count(".937") == 6 and "93.7" in line for line in lines)


def test_bold_only_where_the_interval_overlaps(run):
    text = _printed(run.summary, 100, force_terminal=True, color_system="standard")
    assert "\x1b[1;32m100\x1b[0m" in text
    assert "\x1b[1m75.0\x1b[0m" in text
    assert "\x1b[1m0.0\x1b[0m" not in text


def test_markdown(run):
    lines = to_markdown(run.summary, ["validity", "l1_valid"]).splitlines()
    assert lines[0] == "| method | valid of all | Validity % ↑ | L1, valid ↓ |"
    assert lines[1] == "| --- | ---: | ---: | ---: |"
    assert lines[2].startswith("| revise | 9/12 | **75.0 [45.0, 105]** | **0.")
    assert lines[4].endswith("| 0/12 | 0.0 [-30.0, 30.0] | – |")
