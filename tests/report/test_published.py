"""RESULTS.md is what its template and results/ give."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError
from counterfoil.report.published import parsed, publish, render, rendered
from counterfoil.report.table import Table
from counterfoil.report.view.base import table_as_dict

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
STUDIES = sorted(RESULTS.glob("*.json"))


def test_results_are_rendered_from_the_published_figures() -> None:
    assert (ROOT / "RESULTS.md").read_text() == rendered(RESULTS), (
        "RESULTS.md was changed by hand, or its figures were: edit results/RESULTS.md.j2 and run make results"
    )


def test_every_table_of_the_template_is_published_and_every_published_study_is_shown() -> None:
    template = (RESULTS / "RESULTS.md.j2").read_text()
    shown = set(re.findall(r'table\("(\w+)"', template))
    assert shown == {path.stem for path in STUDIES}
    assert not re.search(r"^\|", template, re.M), "a table is typed in results/RESULTS.md.j2; pull it"


NOT_EVALUATED = {"speed", "trainings"}
"""Figures of benchmarks/ and of manifests."""


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_published_study_can_be_made_again(path: Path) -> None:
    content = json.loads(path.read_text())
    assert content["study"] == path.stem
    if path.stem not in NOT_EVALUATED:
        assert f"study={path.stem}" in content["command"]
        assert (ROOT / "conf" / "study" / f"{path.stem}.yaml").is_file()
    for name in ("seeds", "n", "versions", "weights"):
        assert name in content
    if "measured" in content:
        assert content["measured"].keys() == {"commit", "note"}
    else:
        assert content["versions"]
        assert content["weights"]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_what_is_written_is_the_figure(path: Path) -> None:
    """The text of a measured figure and its value, for whoever reads the JSON, do not part."""
    for view in json.loads(path.read_text())["views"].values():
        for table in view["tables"].values():
            for cells in table["rows"].values():
                for entry in cells.values():
                    if "text" in entry:
                        assert parsed(entry["text"], entry["unit"]) == entry
                    else:
                        Entry.from_dict(entry)


def study(folder: Path, error: str | None = None) -> dict[str, Any]:
    entry = Entry(0.25, 0.2, 0.3, 40, "%", True, 0.0, 1.0)
    made = Table({"a": {"validity": entry}}, ["validity"], {"validity": {"a": "best"}})
    content = {
        "study": "tiny",
        "command": "python evaluate.py study=tiny",
        "jobs": [{"job": "0", "grid": [], "error": error}],
        "views": {"methods": {"tables": {"methods": table_as_dict(made)}, "files": {}}},
    }
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps(content))
    return content


def test_publish_and_render(tmp_path: Path) -> None:
    study(tmp_path / "run")
    results = tmp_path / "results"
    results.mkdir()
    publish(tmp_path / "run", results)
    (results / "RESULTS.md.j2").write_text(
        '{{ table("tiny", "methods") }}\n{{ cell("tiny", "methods", "a", "validity") }}, '
        '{{ value("tiny", "methods", "a", "validity") }} by {{ command("tiny") }}{{ measured("tiny") }}\n'
    )
    text = render(results).read_text()
    assert text == (
        "| method | Validity % ↑ |\n| --- | ---: |\n| a | **25.0 [20.0, 30.0]** |\n"
        "25.0 [20.0, 30.0], 25.0 by python evaluate.py study=tiny\n"
    )
    (results / "RESULTS.md.j2").write_text('{{ value("tiny", "methods", "b", "validity") }}')
    with pytest.raises(UserError, match="row b is not published; there are a"):
        rendered(results)


def test_what_failed_is_not_published(tmp_path: Path) -> None:
    study(tmp_path / "run", "no weights")
    with pytest.raises(UserError, match="job 0 failed"):
        publish(tmp_path / "run", tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        publish(tmp_path, tmp_path)


def test_figures_as_they_were_written() -> None:
    assert parsed("97.9 [97.4, 98.3]", "%") == {
        "value": pytest.approx(0.979), "low": pytest.approx(0.974), "high": pytest.approx(0.983),
        "unit": "%", "text": "97.9 [97.4, 98.3]",
    }  # fmt: skip
    assert parsed("1,202")["value"] == 1202
    assert parsed("Smiling 0.57")["value"] is None
