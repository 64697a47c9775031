"""A method's page holds its formula, costs, departures and what is said of its use, and no typed figure."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from docsite.methods import ROOT, Method, costs, methods, page, when

METHODS = {method.name: method for method in methods()}


def test_every_method_has_a_page_and_a_word_on_its_use() -> None:
    names = {path.stem for path in (ROOT / "conf" / "explainer").glob("*.yaml")}
    assert set(METHODS) == set(when()) == names
    assert all(
        set(told) <= {"use", "not", "picture"} and told["use"] and told["not"] for told in when().values()
    )


def test_figures_are_named_and_never_typed() -> None:
    text = re.sub(r"\{\{.*?\}\}", "", (ROOT / "docsite" / "when.yaml").read_text())
    assert set(re.findall(r"(?<![\w.])\d[\d.]*", text)) <= {"3", "32", "0", "4", "0.99"}  # 3 x 32 x 32, ...
    shown = when()["wachter"]["not"]
    study = json.loads((ROOT / "results" / "frontier_mnist.json").read_text())
    (table,) = study["views"]["questions"]["tables"].values()
    assert f"{100 * table['rows']['wachter']['judges_mean']['value']:.1f} %" in shown


def test_what_is_said_to_be_in_no_table_is_in_none() -> None:
    published = set()
    for path in (ROOT / "results").glob("*.json"):
        for view in json.loads(path.read_text()).get("views", {}).values():
            published |= {row for table in view["tables"].values() for row in table["rows"]}
    unpublished = {name for name, told in when().items() if "No published table has it" in told["not"]}
    assert unpublished == set(METHODS) - published - {"composed"}


def test_a_page_holds_what_its_sources_say() -> None:
    text = page(METHODS["revise"], when()["revise"])
    for part in (
        "# revise\n",
        "```text\nmin_z  CE(f(G(z)), t)",
        "arXiv 1907.09615",
        "| `mnist` | 1000 | 3 |",
        "Stops per query at probability `confidence`",
        "lambda_: 2.0",
        "::: counterfoil.explainer.revise.Revise",
    ):
        assert part in text, part


def test_a_preset_is_told_by_its_yaml_and_not_by_the_class_it_sets() -> None:
    assert METHODS["residual"].preset
    text = page(METHODS["residual"], when()["residual"])
    assert "Revise with the factual's detail given back" in text
    assert "Stops per query" not in text


def test_costs_are_those_of_the_tables_and_missing_ones_are_said(tmp_path: Path) -> None:
    entry = {"value": 12.0, "low": 10.0, "high": 14.0, "n": 5, "unit": "", "higher_is_better": False}
    study = {
        "seeds": [0],
        "n": [5],
        "views": {"one": {"tables": {"one": {"rows": {"mine": {"classifier_calls": entry}}}}}},
    }
    (tmp_path / "some.json").write_text(json.dumps(study))
    assert "| `some` | 5 | 1 | – | 12.0 [10.0, 14.0] |" in costs("mine", tmp_path)
    assert costs("other", tmp_path) == "No published table has its cost."


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_every_method_has_a_summary_and_its_class(method: Method) -> None:
    assert method.parts.summary
    assert method.target == yaml.safe_load(method.recipe)["_target_"]
