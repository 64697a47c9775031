"""Errors on one line."""

from __future__ import annotations

import pytest

from counterfoil.core.errors import CounterfoilWarning, UserError, first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("first\nsecond"), "first"),
        (ValueError("\n  first"), "first"),
        (KeyError(), "KeyError"),
        (OSError("  "), "OSError"),
    ],
)
def test_the_first_line_of_an_error_or_its_type(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_the_users_errors_are_told_from_defects() -> None:
    assert not issubclass(UserError, ValueError | RuntimeError)
    assert issubclass(CounterfoilWarning, UserWarning)
