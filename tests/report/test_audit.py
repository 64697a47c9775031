"""The section that tells what a classifier relies on."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from counterfoil.audit.attributes import Attribute
from counterfoil.audit.audit import Audit, Subject, audit
from counterfoil.audit.insertion import Interval
from counterfoil.audit.options import AuditOptions
from counterfoil.report.audit import audit_section, headline, outline, share
from tests.audit.conftest import CORNER, Corner, graded, pictures


@pytest.fixture(scope="module")
def found() -> Audit:
    methods = {}
    for seed, name in enumerate(("one", "<b>two</b>")):
        x, other = pictures(40, seed=seed), pictures(40, seed=seed + 100)
        x[::2][CORNER], other[1::2][CORNER] = 0.9, 0.9
        methods[name] = graded(Corner(), x, other)
    judged = {"one": torch.full((40,), 0.9), "<b>two</b>": torch.full((40,), 0.2)}
    subject = Subject(Corner(), Corner.class_names, iter, judged)
    made = audit(methods, subject, AuditOptions())
    assert made is not None
    return made


def test_the_first_thing_read_is_what_it_relies_on(found: Audit) -> None:
    page = str(audit_section(found, lambda query: f"image {query}"))
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    assert text.index("It relies on region A (bottom right).") < text.index("Only this part")
    assert "alone turns 100 % of the queries, as one says." in text
    assert "The judge does not believe the counterfactuals of &lt;b&gt;two&lt;/b&gt;" in page
    assert "<b>two</b>:" not in page
    assert "with → without" in text
    assert "image 3" in page
    assert page.count('class="main"') >= 2  # on the picture and in the table
    assert audit_section(None, str) == ""


def test_nothing_is_claimed_where_no_part_decides(found: Audit) -> None:
    weak = replace(found.verdict, decides=False, turned={"one": Interval(0.2, 0.1, 0.3)})
    claim, proof = headline(replace(found, verdict=weak))
    assert claim == "No single part of the image decides."
    assert proof.startswith(
        "What moves it most is region A (bottom right); that part of the change alone turns 20 %"
    )
    tinted = replace(found.verdict, part="colour")
    assert headline(replace(found, verdict=tinted))[0] == "It relies on the colour of the image."


def test_an_outline_goes_around_its_pixels() -> None:
    mask = torch.zeros(4, 5, dtype=torch.bool)
    mask[1:3, 1:4] = True
    assert outline(mask) == "M1 1h3M1 3h3M1 1v2M4 1v2"


def test_shares_are_whole_per_cents() -> None:
    assert share(Interval(0.234, 0.1, 0.5)) == {
        "value": 23.400000000000002,
        "text": "23 %",
        "interval": "[10, 50]",
    }
    assert share(Interval(float("nan"), 0.0, 0.0))["text"] == "–"


def test_the_attribute_that_all_change_most_is_said_too(found: Audit) -> None:
    sure = Interval(0.9, 0.8, 1.0)
    one = replace(found.methods["one"], attributes=[Attribute("Hat", sure, sure, sure, sure, 1.0)])
    told = headline(replace(found, methods={**found.methods, "one": one}))[1]
    assert told.endswith("The attribute that changes most to the judge’s eyes is Hat.")
