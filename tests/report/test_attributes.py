from dataclasses import replace

import torch

from counterfoil.report.attributes import changes, ranking, sentence, signed
from counterfoil.report.html import write_report


def told(counterfactuals):
    """The same counterfactuals, declaring changes of three attributes."""
    rows = len(counterfactuals)
    declared = {
        name: torch.full((rows,), value) for name, value in (("Mouth", 0.8), ("Hair", -0.96), ("Hat", 0.01))
    }
    declared["Mouth"][0] = 0.2
    return replace(counterfactuals, changes=declared)


def test_in_words(run):
    found = changes(told(run.methods["revise"]), 1)
    assert [change.name for change in found] == ["Hair", "Mouth", "Hat"]
    assert sentence("Smiling", found) == "to be read as Smiling: Hair −1.0, Mouth +0.8, Hat 0.0"
    assert (
        sentence("Smiling", found, valid=False) == "not yet read as Smiling: Hair −1.0, Mouth +0.8, Hat 0.0"
    )
    assert sentence("Smiling", found[2:]) == "to be read as Smiling: no attribute changed"
    assert [signed(value) for value in (-0.04, 0.04, 0.05001, -1.5)] == ["0.0", "0.0", "+0.1", "−1.5"]
    assert changes(run.methods["revise"], 1) == ()
    assert sentence("Smiling", ()) == ""


def test_bars_start_at_the_middle(run):
    hair, mouth, _ = changes(told(run.methods["revise"]), 1)
    assert (round(hair.left, 4), round(hair.width, 4)) == (2, 48)
    assert (mouth.left, round(mouth.width, 4)) == (50, 40)


def test_ranking_takes_valid_counterfactuals_of_each_target(run):
    counterfactuals = told(run.methods["revise"])  # rows 0 to 8 are valid, targets alternate
    ranked = ranking(counterfactuals, ("a", "b"))
    assert [change.name for change in ranked["a"]] == ["Hair", "Mouth", "Hat"]
    assert ranked["a"][1].text == f"{(0.2 + 4 * 0.8) / 5:.2f}"
    assert ranked["b"][1].text == "0.80"
    assert ranking(run.methods["revise"], ("a", "b")) == {}


def test_the_page_tells_of_attributes_where_a_method_does(run, tmp_path):
    run.methods["revise"] = told(run.methods["revise"])
    page = write_report(tmp_path / "report.html", **vars(run)).read_text()
    assert "Hair −1.0" in page
    assert page.count("Which attributes move") == 1
