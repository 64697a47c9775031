"""How a check fails: a sentence for each promise that is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from counterfoil.core.errors import first_line


class Broken(AssertionError):
    """Promises that are broken, each in one plain sentence, a line each."""


def hold(kept: object, sentence: str) -> None:
    """Raise `Broken` with the sentence unless the promise is kept."""
    if not kept:
        raise Broken(sentence)


def broken(promises: Iterable[Callable[..., None]], *given: Any) -> list[str]:
    """The sentences of the promises that are not kept; an error is one that names the promise.

    Args:
        promises: functions that raise `Broken`; the first line of each one's docstring is its promise.
        given: their arguments.
    """
    told = []
    for promise in promises:
        try:
            promise(*given)
        except Broken as error:
            told.append(str(error))
        except Exception as error:
            said = (promise.__doc__ or promise.__name__).splitlines()[0].rstrip(".")
            told.append(f"raises {type(error).__name__} ({first_line(error)}); promised: {said}")
    return told


def tell(what: object, sentences: list[str]) -> None:
    """Raise `Broken` with all sentences, each beginning with the name of what broke it."""
    if sentences:
        raise Broken("\n".join(f"{type(what).__name__} {sentence}" for sentence in sentences))
