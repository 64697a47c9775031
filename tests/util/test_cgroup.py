"""The limits of control groups, read from a file system made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.util.cgroup import headroom

GIB = 2**30


def group(folder: Path, names: tuple[str, str, str], limit: object, used: int, reclaimable: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {reclaimable}\n")


V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = ("memory.max", "memory.current", "inactive_file")
CASES = {"v1": (V1, "4:memory:/a/b\n3:cpuset:/\n", "memory"), "v2": (V2, "0::/a/b\n", ".")}


@pytest.mark.parametrize("version", CASES)
def test_the_lowest_limit_above_counts(tmp_path: Path, version: str) -> None:
    names, told, below = CASES[version]
    mount = tmp_path / "sys/fs/cgroup" / below
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(told)
    assert headroom(tmp_path) is None
    group(mount, names, "max" if version == "v2" else 2**63 - 4096, 9 * GIB)
    assert headroom(tmp_path) is None
    group(mount / "a/b", names, 4 * GIB, 3 * GIB, GIB // 2)
    assert headroom(tmp_path) == 1.5 * GIB
    group(mount / "a", names, 5 * GIB, 4 * GIB)
    assert headroom(tmp_path) == GIB
    group(mount / "a", names, 5 * GIB, 6 * GIB)
    assert headroom(tmp_path) == 0.0


@pytest.mark.parametrize("version", CASES)
def test_a_mount_that_begins_at_the_group_is_found(tmp_path: Path, version: str) -> None:
    names, told, below = CASES[version]
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(told)
    group(tmp_path / "sys/fs/cgroup" / below, names, 4 * GIB, GIB)
    assert headroom(tmp_path) == 3 * GIB


def test_where_there_are_no_groups_nothing_is_known(tmp_path: Path) -> None:
    assert headroom(tmp_path) is None
