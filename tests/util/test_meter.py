"""Memory of a piece of work does not depend on what ran before it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from counterfoil.util import meter
from counterfoil.util.memory import keep_memory
from counterfoil.util.meter import Meter

CPU = torch.device("cpu")
linux = pytest.mark.skipif(math.isnan(Meter(CPU).read()[1]), reason="the peak of memory cannot be reset here")


def rise(megabytes: int) -> float:
    """What the meter says of so many MiB that are taken and freed, in pieces as searches take them."""
    started = Meter(CPU)
    held = [torch.ones(2**18) for _ in range(megabytes)]
    del held
    return started.read()[1]


@linux
@pytest.mark.parametrize("before", [0, 400])
@pytest.mark.parametrize("keep", [False, True])
def test_rise_is_of_the_work_alone(before: int, keep: bool) -> None:
    """As much as was taken, also after a larger block, held by the allocator or not."""
    if keep:
        keep_memory()
    rise(before)
    assert rise(60) == pytest.approx(60, abs=15)


@linux
def test_what_is_held_already_does_not_count() -> None:
    held = torch.ones(2**26)
    assert rise(1) < 20
    assert len(held) == 2**26


def test_memory_is_not_known_where_the_peak_cannot_be_reset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(meter, "_PROCESS", tmp_path / "absent")
    seconds, memory = Meter(CPU).read()
    assert seconds >= 0
    assert math.isnan(memory)
