"""Hits of the first-ranked attribute over planted classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job
from counterfoil.report.view.hits import Hits, hit

EFFECTS = {"Smiling": 0.3, "Glasses": 0.6, "Beard": 0.01}


def classifier(
    declared: Mapping[str, float], judged: Mapping[str, float], effects: Mapping[str, float] = EFFECTS
) -> Job:
    cells = {
        f"{metric}/{name}": Entry(value).as_dict()
        for metric, values in (
            ("attribute_change", declared),
            ("judged_change", judged),
            ("true_effect", effects),
        )
        for name, value in values.items()
    }
    explainer = {"gci": {"frozen": []}, "gci_hidden": {"frozen": ["Smiling"]}}
    cells["validity"] = Entry(judged.get("Smiling", 0.0), unit="%").as_dict()
    config = {"attribute": "Smiling", "second": "Glasses", "strength": 0.9, "generator": "biased"}
    return Job(
        Path("job"),
        {"methods": dict.fromkeys(explainer, cells), "config": {**config, "explainer": explainer}},
    )


OWN = {"Smiling": 0.9, "Glasses": 0.5, "Beard": 0.1}
PLANTED = {"Smiling": 0.2, "Glasses": 0.5, "Beard": 0.1}


def test_a_hidden_label_is_not_ranked() -> None:
    job = classifier(OWN, PLANTED)
    assert not hit(job, "gci", "declared")
    assert hit(job, "gci_hidden", "declared")
    assert hit(job, "gci", "judged")


def test_where_the_label_matters_most_it_must_come_first() -> None:
    job = classifier(OWN, OWN, {**EFFECTS, "Smiling": 0.7})
    assert hit(job, "gci", "declared")
    assert not hit(classifier(PLANTED, OWN, {**EFFECTS, "Smiling": 0.7}), "gci", "declared")


def test_rates_over_the_classifiers_that_learned_it(tmp_path: Path) -> None:
    jobs = [
        classifier(OWN, OWN),
        classifier(PLANTED, OWN),
        classifier(PLANTED, OWN, {**EFFECTS, "Glasses": 0.04}),
        classifier(PLANTED, OWN, {**EFFECTS, "Beard": 0.7}),
    ]
    shown = Hits("second", labels={"gci": "GCI"}, means=["validity"]).show(jobs, tmp_path, "hits").tables
    row = shown["hits"].rows["GCI, biased"]
    assert (row["declared"].value, row["declared"].n) == (0.5, 2)
    assert row["declared"].low == pytest.approx(0.0945, abs=1e-3)
    assert row["judged"].value == 0.0
    assert (row["validity"].value, row["validity"].n) == (0.9, 2)
    assert shown["hits"].rows["gci_hidden, biased"]["declared"].value == 1.0
    (trainings,) = shown["hits classifiers"].rows.values()
    assert trainings["planted"].value == pytest.approx((0.6 + 0.6 + 0.04 + 0.6) / 4)
    assert (trainings["counted"].value, trainings["counted"].n) == (0.5, 4)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has learned what was planted"):
        Hits("second").show([classifier(OWN, OWN, {**EFFECTS, "Glasses": 0.0})], tmp_path, "hits")
    with pytest.raises(UserError, match=r"add metric=true_effect"):
        hit(classifier(OWN, OWN, {}), "gci", "declared")
    with pytest.raises(UserError, match="has no judged_change of gci"):
        hit(classifier(OWN, {}), "gci", "judged")
