"""The parts of a docstring as they are written here, and its formulas as code."""

from __future__ import annotations

import re
from dataclasses import dataclass

SECTIONS = ("Args:", "Returns:", "Raises:", "Yields:", "Attributes:", "Example:")


@dataclass(frozen=True)
class Parts:
    """Of a method's docstring: its first line, its paragraphs in Markdown, departures and source."""

    summary: str
    text: tuple[str, ...]
    departures: str
    source: str


def is_formula(paragraph: str) -> bool:
    """Whether a paragraph is a formula: it holds a relation and, unlike prose, does not end in a stop."""
    prose = paragraph.rstrip().endswith((".", ":", ",")) or paragraph.startswith((" ", *SECTIONS))
    told = re.search(r"^(Departures|Source|Reference)\b|```", paragraph, re.MULTILINE)
    return not (prose or told) and bool(re.search(r"[=~]|<-|\bmin|loss", paragraph))


def as_code(docstring: str) -> str:
    """A docstring whose formulas are blocks of code, so that Markdown leaves them as they are."""
    first, *others = docstring.split("\n\n")
    return "\n\n".join((first, *(_fenced(part) if is_formula(part) else part for part in others)))


def parts_of(docstring: str) -> Parts:
    """The parts of a docstring; its arguments are left to mkdocstrings."""
    first, *others = docstring.split("\n\n")
    text, told = [], {"Departures": "", "Source": ""}
    for part in others:
        named = re.split(r"^(Departures|Source|Reference): ", part, flags=re.MULTILINE)
        if len(named) > 1:
            for name, content in zip(named[1::2], named[2::2], strict=True):
                told[name.replace("Reference", "Source")] = " ".join(content.split())
        elif not part.startswith((" ", *SECTIONS)):
            text.append(_fenced(part) if is_formula(part) else part)
    return Parts(first, tuple(text), told["Departures"], told["Source"])


def _fenced(paragraph: str) -> str:
    return f"```text\n{paragraph.strip()}\n```"
