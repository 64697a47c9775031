"""Broken promises become sentences, and errors name the promise."""

from __future__ import annotations

import pytest

from counterfoil.testing.broken import Broken, broken, hold, tell


def kept(n: int) -> None:
    """n is small."""
    hold(n < 10, f"has {n}")


def divides(n: int) -> None:
    """n divides.

    More of it.
    """
    _ = 1 / n


def test_all_sentences_are_told() -> None:
    assert broken([kept, divides], 3) == []
    assert broken([kept, divides], 0) == ["raises ZeroDivisionError (division by zero); promised: n divides"]
    assert broken([kept, kept], 12) == ["has 12", "has 12"]
    tell(3, [])
    with pytest.raises(Broken, match="int has 1\nint has 2"):
        tell(3, ["has 1", "has 2"])
