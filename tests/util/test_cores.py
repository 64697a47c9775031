"""Cores and their share."""

from __future__ import annotations

import os

import pytest

from counterfoil.util.cores import cores, share


def test_the_cores_are_those_of_this_process() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("there", "jobs", "each"), [(8, 2, 4), (8, 3, 2), (2, 4, 1), (1, 0, 1)])
def test_jobs_share_the_cores(there: int, jobs: int, each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.util.cores.cores", lambda: there)
    assert share(jobs) == each
