"""The one exception and the one kind of warning for the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can fix: one line that names what was found, what was expected and the fix."""


class CounterfoilWarning(UserWarning):
    """Something that may spoil a result, with its fix, on one line."""


def first_line(error: BaseException) -> str:
    """An error's message on one line; its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def suggest(name: str, known: Iterable[str]) -> str:
    """The half-sentence "; did you mean WORD?" of the nearest known word, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def unknown_option(path: str, name: str, known: Iterable[str]) -> str:
    """The message for an option that does not exist."""
    names = [word for word in known if word != "self"]
    return f"option {path} does not exist{suggest(name, names)}; the options there: {', '.join(names)}"
