"""Counterfactuals that are read: their words, those that differ marked, on the page and in a table."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from counterfoil.core.batches import Batches, Rows
from counterfoil.core.domain import Domain
from counterfoil.data.vocabulary import written
from counterfoil.util.record import whole

FIRST = 20
"""Queries shown side by side, the first ones."""
MOST = 300
"""Queries whose texts stand on the page; texts.csv holds all."""
HEADS = ("query", "method", "source", "target", "valid", "factual", "counterfactual")


@dataclass(frozen=True)
class Words:
    """A factual and its counterfactual as HTML, words that are left out and put in marked."""

    factual: Any
    counterfactual: Any


@dataclass(frozen=True)
class TextRow:
    """One counterfactual of a text."""

    query: int
    source: int
    target: int
    valid: bool
    factual: list[str]
    counterfactual: list[str]

    @property
    def plain(self) -> tuple[str, str]:
        """The two as they are."""
        return written(self.factual), written(self.counterfactual)

    @property
    def words(self) -> Words:
        """The two, compared."""
        return compared(self.factual, self.counterfactual)


def compared(one: Sequence[str], other: Sequence[str]) -> Words:
    """Two texts with what differs marked: <del> in the one, <ins> in the other."""
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    before, after = [], []
    for kind, i, j, k, m in matcher.get_opcodes():
        before.append(_marked(one[i:j], "" if kind == "equal" else "del"))
        after.append(_marked(other[k:m], "" if kind == "equal" else "ins"))
    return Words(_joined(before), _joined(after))


def rows_of(cf: Rows, domain: Domain) -> Iterator[TextRow]:
    """The texts of counterfactuals, one file at a time; none where the domain has no words."""
    for part in cf.bare if isinstance(cf, Batches) else [cf]:
        factual, made = domain.words(part.factual), domain.words(part.counterfactual)
        if factual is None or made is None:
            return
        facts = (part.query.tolist(), part.source.tolist(), part.target.tolist(), part.valid.tolist())
        for query, source, target, valid, one, other in zip(*facts, factual, made, strict=True):
            yield TextRow(query, source, target, valid, one, other)


def texts_by_query(methods: Mapping[str, Rows], domain: Domain) -> dict[int, dict[str, TextRow]]:
    """The first counterfactual of each method to each of the first queries, by query and method."""
    found: dict[int, dict[str, TextRow]] = {}
    for name, cf in methods.items():
        for row in rows_of(cf, domain):
            if row.query in found or len(found) < MOST:
                found.setdefault(row.query, {}).setdefault(name, row)
    return found


def save_texts(
    path: Path, methods: Mapping[str, Rows], domain: Domain, class_names: Sequence[str]
) -> Path | None:
    """Write every text as it is, a line each; None where the domain has no words."""
    rows = [
        [row.query, name, class_names[row.source], class_names[row.target], int(row.valid), *row.plain]
        for name, cf in methods.items()
        for row in rows_of(cf, domain)
    ]
    if not rows:
        return None
    with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADS, *rows])
    return path


def _marked(words: Sequence[str], tag: str) -> str:
    from markupsafe import escape

    told = str(escape(written(words)))
    return f"<{tag}>{told}</{tag}>" if tag and told else told


def _joined(parts: Sequence[str]) -> Any:
    from markupsafe import Markup

    return Markup(" ".join(part for part in parts if part))  # each part is escaped
