"""Texts on the page and in a table: what differs is marked, and what is hostile is escaped."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from counterfoil.core.domain import IMAGES, Tokens
from counterfoil.data.vocabulary import written
from counterfoil.report.html import write_report
from counterfoil.report.words import compared, rows_of, save_texts

TOKENS = ("<pad>", "<unk>", "the", "film", "is", "good", "bad", ".", "<script>", "very")


@pytest.fixture
def texts(run: SimpleNamespace) -> SimpleNamespace:
    """The run of images with texts in their place: `good` becomes `very bad`."""
    one = torch.tensor([2, 3, 4, 5, 7, 0]).expand(12, 6)
    other = torch.tensor([8, 3, 4, 9, 6, 7]).expand(12, 6)
    factual, made = (torch.nn.functional.one_hot(ids, 10)[:, None].float() for ids in (one, other))
    run.methods = {
        name: replace(cf, factual=factual, counterfactual=made, strip=None)
        for name, cf in run.methods.items()
    }
    return run


def test_words_that_go_and_come_are_marked() -> None:
    found = compared(["the", "film", "is", "good", "."], ["the", "film", "is", "very", "bad", "."])
    assert found.factual == "the film is <del>good</del> ."
    assert found.counterfactual == "the film is <ins>very bad</ins> ."
    same = compared(["a", "b"], ["a", "b"])
    assert same.factual == same.counterfactual == "a b"
    assert written(["good", ",", "not", "bad", "."]) == "good, not bad."


def test_what_is_hostile_is_escaped() -> None:
    found = compared(["<script>"], ["<b>", "&"])
    assert found.factual == "<del>&lt;script&gt;</del>"
    assert found.counterfactual == "<ins>&lt;b&gt; &amp;</ins>"


def test_the_page_of_texts_is_read(texts: SimpleNamespace, tmp_path: Path) -> None:
    """Every query's text is on it; no picture is drawn and no browser of pictures is there."""
    page = write_report(tmp_path / "report.html", **vars(texts), domain=Tokens(TOKENS)).read_text()
    body = page[page.index("<body>") :]
    assert "<del>good</del>" in body
    assert re.search(r"<ins>&lt;script&gt;</ins> film is <ins>very bad</ins>", body)
    assert "the film is good." in body
    assert 'class="px' not in body
    assert 'id="records"' not in body
    assert len(re.findall('<table class="looks read"', body)) == 2
    assert "<pad>" not in body


def test_a_table_holds_all_texts_as_they_are(texts: SimpleNamespace, tmp_path: Path) -> None:
    path = save_texts(tmp_path / "texts.csv", texts.methods, Tokens(TOKENS), ["no", "yes"])
    assert path is not None
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    assert len(rows) == 36
    assert rows[0]["factual"] == "the film is good."
    assert rows[0]["counterfactual"] == "<script> film is very bad."
    assert save_texts(tmp_path / "no.csv", texts.methods, IMAGES, ["no", "yes"]) is None
    assert not (tmp_path / "no.csv").exists()
    assert not list(rows_of(next(iter(texts.methods.values())), IMAGES))
