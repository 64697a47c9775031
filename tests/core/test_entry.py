"""One figure with its declared facts."""

from __future__ import annotations

import json
import math

import pytest

from counterfoil.core.entry import Entry


def test_value_and_interval_never_leave_the_declared_range() -> None:
    share = Entry(0.99, 0.929, 1.04, 10, unit="%", minimum=0.0, maximum=1.0)
    assert (share.value, share.low, share.high) == (0.99, 0.929, 1.0)
    assert Entry(29.0, -20.9, 78.9, 3, minimum=0.0).low == 0.0
    assert Entry(-5.0, -6.0, -4.0, 3).low == -6.0


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_not_finite_is_not_known(value: float | None) -> None:
    entry = Entry(value)
    assert entry.value is None
    assert not entry.known


def test_json_round_trip() -> None:
    entry = Entry(0.5, 0.4, 0.6, 7, unit="%", higher_is_better=True, minimum=0.0, maximum=1.0, label="Judge")
    assert Entry.from_dict(json.loads(json.dumps({**entry.as_dict(), "unknown": 1}))) == entry
    assert entry.scale == 100
