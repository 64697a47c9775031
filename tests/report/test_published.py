"""RESULTS.md is what its template and results/ give."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import hydra
import pytest

from counterfoil.core.entry import Entry
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.data.face import ATTRIBUTES
from counterfoil.report.published import drawn, filled, publish, render, rendered
from counterfoil.report.table import Table
from counterfoil.report.view.base import table_as_dict

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
STUDIES = sorted(RESULTS.glob("*.json"))
TEMPLATE = (RESULTS / "RESULTS.md.j2").read_text()
CLAIMS = (RESULTS / "claims.md.j2").read_text()
SECTIONS = re.split(r"^#+ ", TEMPLATE, flags=re.M)[1:]
CALLS = re.findall(
    r'\{\{ (table|cell|value)\("(\w+)", "(\w+)"(?:, "([^"]+)")?(?:, "([^"]+)")?(?:, "([^"]+)")?\) \}\}',
    TEMPLATE,
)
"""Macro, study, view and what else it names, of every figure that the template pulls."""


def test_results_are_rendered_from_the_published_figures() -> None:
    assert (ROOT / "RESULTS.md").read_text() == rendered(RESULTS), (
        "RESULTS.md was changed by hand, or its figures were: edit results/RESULTS.md.j2 and run make results"
    )


def test_every_table_of_the_template_is_published_and_every_published_study_is_shown() -> None:
    shown = set(re.findall(r'(?:table|note)\("(\w+)"', TEMPLATE))
    assert shown == {path.stem for path in STUDIES}
    assert not re.search(r"^\|", TEMPLATE, re.M), "a table is typed in results/RESULTS.md.j2; pull it"


def test_every_claim_names_a_study_and_a_verdict() -> None:
    rows = [line.strip("|\n").split(" | ") for line in CLAIMS.splitlines()[2:]]
    assert {len(row) for row in rows} == {5}
    studies = {path.stem for path in STUDIES}
    for paper, _claim, verdict, study, _seen in rows:
        assert paper.strip() in {"GCI", "AIP", "DISC", "PE"}
        assert study == "–" if verdict in {"not measured", "untestable here"} else study.strip("`") in studies
    typed = re.sub(r"\{\{.*?\}\}", "", CLAIMS)
    assert not re.search(r"\d %|\d\.\d", typed), "a figure is typed in results/claims.md.j2; pull it"


NOT_EVALUATED = {"levers", "memory", "peers", "ranks", "search", "speed", "training", "trainings"}
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
        assert content["weights"] or path.stem == "training"  # which reads none


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_what_is_written_is_the_figure(path: Path) -> None:
    """The text of a measured figure and its value, for whoever reads the JSON, do not part."""
    for view in json.loads(path.read_text())["views"].values():
        for table in view["tables"].values():
            for cells in table["rows"].values():
                for entry in cells.values():
                    if "text" in entry:
                        assert parsed(entry["text"], entry["unit"]).items() <= entry.items()
                    else:
                        Entry.from_dict(entry)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_every_table_and_picture_names_its_study(section: str) -> None:
    for name in re.findall(r'table\("(\w+)"', section):
        assert f'command("{name}")' in section or f"study={name}" in section
    for picture in re.findall(r"^.*docs/.*$", section, re.M):
        (name,) = re.findall(r"study=(\w+)", picture)
        assert (ROOT / "conf" / "study" / f"{name}.yaml").is_file()


def test_every_picture_is_there() -> None:
    for picture in re.findall(r"docs/[\w.-]+", TEMPLATE):
        assert (ROOT / picture).is_file()


def test_words_and_columns() -> None:
    assert not re.search(r"\banswers?\b|\basked for\b", TEMPLATE)
    prose = [line for line in TEMPLATE.splitlines() if not line.startswith(("<picture", "!["))]
    assert max(map(len, prose)) <= 110


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_study_makes_the_views_that_its_json_holds_and_the_template_shows(path: Path) -> None:
    if path.stem in NOT_EVALUATED:
        return
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        config = hydra.compose("evaluate", [f"study={path.stem}"])
    views: Any = config.study.views
    shown = {view for _, study, view, *_ in CALLS if study == path.stem}
    assert shown
    assert shown <= views.keys()
    for name, published in json.loads(path.read_text())["views"].items():
        assert name in views
        metrics = views[name].get("metrics")
        turned = {"split", "columns"} & views[name].keys() or {"pairs", "rows"} <= views[name].keys()
        if metrics and not turned:
            for table in published["tables"].values():
                assert set(table["columns"]) <= set(metrics)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_rows_are_called_as_the_study_calls_them(path: Path) -> None:
    """By a method, a value of the grid, or a label; the two parts of a difference by methods."""
    if path.stem in NOT_EVALUATED:
        return
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        config = hydra.compose("evaluate", [f"study={path.stem}"], return_hydra_config=True)
    grid = {
        part.strip() for values in config.hydra.sweeper.params.values() for part in str(values).split(",")
    }
    for name, published in json.loads(path.read_text())["views"].items():
        view = config.study.views[name]
        known = {*config.explainer, *grid, *view.get("labels", {}).values(), *ATTRIBUTES}
        for table in published["tables"].values():
            rows = [] if view.get("split") else table["rows"]
            for row in rows:
                assert row in known or set(re.split(", | - ", row)) <= known, row


def test_prose_is_filled_and_the_rest_is_left() -> None:
    text = "# Title\n\nOne\ntwo `a b`,\n*c*.\n\n```\na\nb\n```\n\n| a |\n| - |\n\n![x](y)\n\nThree\nfour.\n"
    assert filled(text) == text.replace("One\ntwo `a b`,\n*c*", "One two `a b`, *c*").replace("e\nf", "e f")
    assert max(map(len, filled("word " * 99).splitlines())) <= 110


def test_a_figure_that_changes_changes_its_sentence(tmp_path: Path) -> None:
    for path in RESULTS.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    path = tmp_path / "pe_bias.json"
    content = json.loads(path.read_text())
    row = content["views"]["classifiers"]["tables"]["progressive"]["rows"]["biased"]
    row["eyeglasses_changed"] |= {"value": 0.123, "text": "12.3 [11.0, 14.0]"}
    path.write_text(json.dumps(content))
    assert "biased classifier change glasses in 12.3 % of cases" in " ".join(rendered(tmp_path).split())
    assert "12.3 %" not in rendered(RESULTS)


def test_pictures_that_join_studies_show_published_methods(tmp_path: Path) -> None:
    assert {"docs/" + name for name in drawn(RESULTS)} <= set(
        re.findall(r"(docs/[\w-]+?)(?:-dark)?\.svg", TEMPLATE)
    )
    for path in RESULTS.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    plan = tmp_path / "figures.yaml"
    plan.write_text(plan.read_text().replace("wachter_tuned", "wachter_tamed"))
    with pytest.raises(UserError, match="curve wachter_tamed is not published; there are wachter"):
        drawn(tmp_path)


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
    (results / "tiny.json").write_text(json.dumps({"notes": {"tried": parsed("7 [6, 8]")}}))
    with pytest.warns(CounterfoilWarning, match=r"tiny.json: notes stay .*: tried$"):
        publish(tmp_path / "run", results)
    (results / "RESULTS.md.j2").write_text(
        '{{ table("tiny", "methods") }}\n{{ cell("tiny", "methods", "a", "validity") }}, '
        '{{ value("tiny", "methods", "a", "validity") }} by {{ command("tiny") }}{{ measured("tiny") }}, '
        '{{ note("tiny", "tried") }}\n\n{{ bold("tiny") }}\n'
    )
    text = render(results).read_text()
    assert text == (
        "| method | Validity % ↑ |\n| --- | ---: |\n| a | **25.0 [20.0, 30.0]** |\n"
        "25.0 [20.0, 30.0], 25.0 by python evaluate.py study=tiny, 7 [6, 8]\n\n"
        "Bold: the best, and those that no paired difference over the common queries tells from it.\n"
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


def parsed(text: str, unit: str = "") -> dict[str, Any]:
    """An entry of a figure as written, `97.9 [97.4, 98.3]`; its value is None where the text is none."""
    number = r"(-?\+?[\d,]*\.?\d+(?:e-?\d+)?)"
    match = re.fullmatch(rf"{number}(?: \[{number}, {number}\])?", text.replace("+", ""))
    scale = 100 if unit == "%" else 1
    ends = (
        [None if part is None else float(part.replace(",", "")) / scale for part in match.groups()]
        if match
        else [None] * 3
    )
    return {**dict(zip(("value", "low", "high"), ends, strict=True)), "unit": unit, "text": text}
