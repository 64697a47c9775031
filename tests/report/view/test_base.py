"""What a view gives: tables and pictures, as JSON and back."""

from __future__ import annotations

import json
from pathlib import Path

from counterfoil.core.entry import Entry
from counterfoil.report.table import Table
from counterfoil.report.view.base import Shown, table_as_dict, table_from_dict


def test_tables_survive_json() -> None:
    table = Table(
        {"revise": {"l1": Entry(0.1, 0.05, 0.2, 7)}}, ["l1"], {"l1": {"revise": "best"}}, "corner", "note"
    )
    content = json.loads(json.dumps(table_as_dict(table)))
    again = table_from_dict(content)
    assert again.rows == table.rows
    assert table_as_dict(again) == content
    assert content["marked"] == {"l1": {"revise": "best"}}


def test_files_are_told_below_the_folder() -> None:
    shown = Shown(files={"light": Path("run/a.svg")}, content={"points": [1]})
    assert shown.as_dict(Path("run")) == {"tables": {}, "files": {"light": "a.svg"}, "points": [1]}
