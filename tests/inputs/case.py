"""An odd input and what must come of it: the right value, or one line that tells what to do."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.errors import UserError
from tests.bench import Bench


@dataclass(frozen=True)
class At:
    """Where a case happens: an empty folder, and what the tests of runs have."""

    request: pytest.FixtureRequest
    folder: Path

    @cached_property
    def bench(self) -> Bench:
        """Small trained models, `bench.train(...)` and `bench.evaluate(...)`."""
        found: Bench = self.request.getfixturevalue("bench")
        return found

    @cached_property
    def script(self) -> Callable[..., tuple[int, str, str]]:
        """script("evaluate", "n=3"): exit code, standard output, standard error."""
        found: Callable[..., tuple[int, str, str]] = self.request.getfixturevalue("script")
        return found


@dataclass(frozen=True)
class Case:
    """One input.

    Args:
        name: what is odd about it.
        act: feeds it in; returns what came of it, or raises.
        right: the value that must come of it, where it is accepted.
        says: parts of the one line that refuses it: the option, what was found, what to do. Empty: accepted.
        warns: parts of one warning that comes with it.
    """

    name: str
    act: Callable[[At], Any]
    right: Any = None
    says: tuple[str, ...] = ()
    warns: tuple[str, ...] = ()

    def settle(self, at: At) -> None:
        """Feed the input in and hold what comes of it against what must."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if self.says:
                with pytest.raises(UserError) as refusal:
                    self.act(at)
                tells(str(refusal.value), self.says)
            else:
                assert self.act(at) == self.right
        if self.warns:
            lines = [str(each.message) for each in caught]
            assert any(all(part in line for part in self.warns) for line in lines), lines


def tells(line: str, parts: Iterable[str]) -> None:
    """Assert that a message is one line that holds all parts."""
    assert "\n" not in line.strip(), f"more than one line: {line}"
    for part in parts:
        assert part in line, f"expected {part!r} in: {line}"


def cases(*several: Case) -> pytest.MarkDecorator:
    """Parametrise a test over cases, by their names."""
    return pytest.mark.parametrize("case", several, ids=[case.name for case in several])


@contextmanager
def noted() -> Iterator[Callable[[], str]]:
    """What is said on the way: `with noted() as lines: ...; lines()`."""
    log, kept = logging.getLogger("counterfoil"), list[str]()
    handler, level = logging.Handler(), log.level
    handler.emit = lambda record: kept.append(record.getMessage())  # type: ignore[method-assign]
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield lambda: "\n".join(kept)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
