"""Cores and their share."""

from __future__ import annotations

import os

import pytest

from counterfoil.util.cores import FEW, cores, share, threads_for


def test_the_cores_are_those_of_this_process() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("there", "jobs", "each"), [(8, 2, 4), (8, 3, 2), (2, 4, 1), (1, 0, 1)])
def test_jobs_share_the_cores(there: int, jobs: int, each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.util.cores.cores", lambda: there)
    assert share(jobs) == each


def test_few_images_at_once_take_one_thread() -> None:
    assert threads_for(1) == threads_for(FEW - 1) == 1
    assert threads_for(FEW) is None
