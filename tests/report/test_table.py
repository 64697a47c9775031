"""The one table maker."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pytest

from counterfoil.core.entry import Entry
from counterfoil.report.table import Table, cell, interval, number

SHARE = {"unit": "%", "minimum": 0.0, "maximum": 1.0, "higher_is_better": True}


def table() -> Table:
    rows = {
        "re_vise|x": {
            "validity": Entry(0.924, 0.895, 0.953, 200, **SHARE),
            "own": Entry(3.0, None, None, 5, "px"),
        },  # type: ignore[arg-type]
        "b": {"validity": Entry(1.0, 0.981, 1.0, 200, **SHARE)},  # type: ignore[arg-type]
    }
    return Table(rows, marked={"validity": {"b": "best"}}, note="Over 200 queries & more.")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "", "–"),
        (math.nan, "", "–"),
        (math.inf, "", "–"),
        (0.0, "", "0"),
        (0.12345, "", "0.123"),
        (0.004, "s", "0.0040"),
        (0.00012, "", "1.2e-4"),
        (1.5, "", "1.50"),
        (12.34, "", "12.3"),
        (1234.4, "", "1,234"),
        (0.9876, "%", "98.8"),
        (1.0, "%", "100"),
        (0.5, "%", "50.0"),
        (-0.25, "", "-0.250"),
    ],
)
def test_figures_by_hand(value: float | None, unit: str, text: str) -> None:
    assert number(value, unit) == text


def test_a_cell_is_value_and_interval() -> None:
    assert cell(Entry(0.6, 0.5, 0.75, 9, "%")) == "60.0 [50.0, 75.0]"
    assert interval(Entry(0.6, None, 0.75)) == ""
    assert cell(None) == cell(Entry(None)) == "–"


def test_markdown_marks_and_escapes() -> None:
    lines = table().markdown().splitlines()
    assert lines[0] == "| method | Validity % ↑ | Own px |"
    assert lines[1] == "| --- | ---: | ---: |"
    assert lines[2] == "| re_vise\\|x | 92.4 [89.5, 95.3] | 3.00 |"
    assert lines[3] == "| b | **100 [98.1, 100]** | – |"


def test_latex_is_escaped_and_has_every_row() -> None:
    text = table().latex()
    assert r"re\_vise|x & 92.4 [89.5, 95.3] & 3.00 \\" in text
    assert r"b & \textbf{100 [98.1, 100]} & -- \\" in text
    assert r"Validity \% $\uparrow$" in text
    assert text.count(r"\\") == 3


def test_csv_keeps_plain_figures(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(table().csv())))
    assert rows[0] == {
        "method": "re_vise|x",
        "column": "validity",
        "value": "0.924",
        "low": "0.895",
        "high": "0.953",
        "n": "200",
        "seeds": "1",
        "unit": "%",
    }
    assert [row["column"] for row in rows] == ["validity", "own", "validity"]
    assert [path.suffix for path in table().save(tmp_path / "tables" / "a")] == [".md", ".tex", ".csv"]
    assert (tmp_path / "tables" / "a.csv").read_text() == table().csv()
