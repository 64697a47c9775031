"""Freed blocks stay in the process."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from counterfoil.util.memory import give_back, uncollected

SCRIPT = """
import resource, torch
from counterfoil.util.memory import keep_memory
kept = keep_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(12):
    torch.ones(8_000_000)
before = faults()
for _ in range(10):
    torch.ones(8_000_000)
print(int(kept), faults() - before)
"""


def _run(**environment: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, faults = done.stdout.split()
    return int(kept), int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="speaks of glibc")
def test_large_blocks_are_taken_from_the_system_once() -> None:
    kept, faults = _run()
    if not kept:
        pytest.skip("another C library, or settings of the environment")
    assert faults < 20_000  # ten blocks of 32 MB, fresh each, are 78,000 pages of 4 KiB


def test_settings_of_the_environment_win() -> None:
    assert _run(MALLOC_ARENA_MAX="2")[0] == 0


def test_no_garbage_is_looked_for_meanwhile() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_freed_blocks_are_given_back() -> None:
    """A hundred megabytes in small pieces below one that stays."""

    def resident() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    pieces = [bytearray(100_000) for _ in range(1000)]
    stays, held = pieces[-1], resident()
    del pieces
    if not give_back():
        pytest.skip("another C library, or nothing to give")
    assert held - resident() > 50_000
    assert len(stays) == 100_000
