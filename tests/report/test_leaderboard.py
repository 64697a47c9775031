"""The leaderboard of the terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from counterfoil.core.entry import Entry
from counterfoil.report.leaderboard import leaderboard, run_table


def _printed(summary: Any, width: int, **options: Any) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, **options)
    for table in leaderboard(summary, width=width):
        console.print(table)
    return out.getvalue()


def test_every_metric_is_shown(run: SimpleNamespace) -> None:
    text = _printed(run.summary, 100)
    for part in ("9/12", "75.0", "±27.5", "–", "<b>own</b>", "↑", "↓", "IM1", "FID"):
        assert part in text


def test_names_are_not_markup(run: SimpleNamespace) -> None:
    run.summary["methods"] = {"[red]name": run.summary["methods"]["revise"]}
    assert "[red]name" in _printed(run.summary, 100)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_blocks_fit_the_width_and_drop_nothing(width: int) -> None:
    row = {
        f"metric_{i}": Entry(0.9371 + i, 0.9 + i, 0.99 + i, 1000, higher_is_better=True) for i in range(20)
    }
    text = _printed({"methods": {"growing_spheres": row, "revise": row}, "standing": {}}, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert all(f"{i}\n" in text or f"{i} " in text for i in range(20))
    assert text.count("0.937") == 2


def test_bold_is_what_stands_in_the_standing(run: SimpleNamespace) -> None:
    text = _printed(run.summary, 100, force_terminal=True, color_system="standard")
    assert "\x1b[1;32m100\x1b[0m" in text
    assert "\x1b[1m75.0\x1b[0m" in text
    assert "\x1b[1m0.0\x1b[0m" not in text


def test_table_of_a_run_for_files(run: SimpleNamespace) -> None:
    lines = run_table(run.summary).markdown().splitlines()
    assert lines[0] == "| method | Validity % ↑ | L1, valid ↓ | FID (judge) ↓ | IM1 ↓ | L1 ↓ |"
    assert lines[2].startswith("| revise | **75.0 [45.0, 100]** | **0.")
    assert lines[4].startswith("| <b>own</b> & $co$ {{ x }} | 0.0 [0.0, 30.0] | – |")


def test_failures_stand_below_the_counts(run: SimpleNamespace) -> None:
    assert "not finite" not in _printed(run.summary, 100)
    run.summary["queries"]["failures"] = {"revise": 2, "wachter": 0}
    text = _printed(run.summary, 100)
    assert text.count("2 not finite") == 1
    assert "0 not finite" not in text


def test_what_is_in_doubt_is_dim_and_the_reason_stands_below(run: SimpleNamespace) -> None:
    doubt = "judge: tells other classes [red]"
    row = run.summary["methods"]["wachter"]
    row["validity"] = replace(row["validity"], doubt=doubt)
    text = _printed(run.summary, 200, force_terminal=True, color_system="standard")
    assert "\x1b[2m100\x1b[0m" in text
    assert "\x1b[1;32m100\x1b[0m" not in text
    assert text.count("Grey, not ranked: judge: tells other classes [red].") == 1
    assert run_table(run.summary).note.endswith(f"Grey, not ranked: {doubt}.")
