"""A disk that is full at any moment: one line that names a file on it; with room the command goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.faults import act, child
from tests.faults.conftest import Fault
from tests.faults.fault import share
from tests.faults.test_kills import made, undisturbed  # noqa: F401 (a fixture)

PLACES = 16


@pytest.mark.parametrize("place", share(list(range(PLACES)), quick=1))
@pytest.mark.parametrize("kind", share(["train", "evaluate", "study"], quick=1))
def test_full_from_a_change_on(
    kind: str,
    place: int,
    bench: Bench,
    undisturbed: Callable[[str], child.Ended],  # noqa: F811
    fault: Fault,
    tmp_path: Path,
) -> None:
    whole = undisturbed(kind)
    work = made(kind, tmp_path / kind, bench.store)
    at = 1 + place * whole.events // PLACES
    full = child.run(work, tmp_path / kind, full_at=at)

    def told_then_right() -> Any:
        if not full.line:
            return full.right
        assert str(tmp_path) in full.line, f"it names no file on the full disk: {full.line}"
        assert "no space left" in full.line, full.line
        return child.run(work, tmp_path / kind).right

    fault("full disk, injected", told_then_right, whole.value)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """small_disk(64) mounts a file system of 64 KiB; skipped where nobody may."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(kibibytes: int) -> Path:
        options = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)]
        if subprocess.run(options, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small file system needs privileges")
        return folder

    yield mount
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


@pytest.mark.parametrize("kibibytes", share([4, 12, 24, 40, 60, 90, 130, 200], quick=1))
@pytest.mark.parametrize("where", share(["store", "run folder", "temporary files"], quick=1))
def test_small_disk(
    where: str,
    kibibytes: int,
    bench: Bench,
    small_disk: Callable[[int], Path],
    undisturbed: Callable[[str], child.Ended],  # noqa: F811
    fault: Fault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the disk is one side of each rename across file systems: the store, the run, or TMPDIR."""
    disk = small_disk(kibibytes)
    if where == "run folder":
        kind, work = "evaluate", act.Evaluate(bench.store, disk / "run")
    else:
        kind, work = "train", act.Train(disk if where == "store" else tmp_path / "t")
        work = replace(work, temporary=None if where == "store" else disk)
    full = child.run(work, tmp_path)

    def told_then_right() -> Any:
        if full.line:
            assert str(disk) in full.line, f"it names no file on the full disk: {full.line}"
        elif full.code:
            return full.right
        subprocess.run(["mount", "-o", "remount,size=30m", str(disk)], check=True)
        return (child.run(work, tmp_path) if full.line else full).right

    fault("full disk, mounted", told_then_right, undisturbed(kind).value)
