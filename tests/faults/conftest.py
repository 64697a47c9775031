"""Counts the injected faults by what came of them, and prints the table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.fault import OUTCOMES, outcome_of

Fault = Callable[[str, Callable[[], Any], Any], str]


@pytest.fixture
def fault(record_property: Callable[[str, object], None]) -> Fault:
    """fault("kill", act, right): does the act, counts its outcome, and fails on the two that may not be."""

    def injected(kind: str, act: Callable[[], Any], right: Any) -> str:
        outcome, detail = outcome_of(act, right)
        record_property(f"fault {kind}", outcome)
        assert outcome in OUTCOMES[:2], f"{kind}: {outcome}: {detail}"
        return outcome

    return injected


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A row per kind of fault: injected, and how many came to each end."""
    counts: Counter[tuple[str, str]] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                properties = report.user_properties
                counts.update((key[6:], end) for key, end in properties if key.startswith("fault "))
    if not counts:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(f"{'kind':24}{'injected':>10}" + "".join(f"{end:>22}" for end in OUTCOMES))
    for kind in sorted({kind for kind, _ in counts}):
        ends = [counts[kind, end] for end in OUTCOMES]
        terminalreporter.write_line(f"{kind:24}{sum(ends):>10}" + "".join(f"{end:>22}" for end in ends))
