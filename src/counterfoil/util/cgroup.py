"""What a container may still take of the memory, by its control groups, versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class _Files(NamedTuple):
    """Names of the files of a memory group."""

    limit: str
    usage: str
    reclaimable: str


_SECOND = _Files("memory.max", "memory.current", "inactive_file")
_FIRST = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def headroom(root: Path = Path("/")) -> float | None:
    """Bytes below the lowest limit of this process's memory groups; None where none sets a limit.

    Pages of files that were read once count as free: they are dropped where memory is wanted.

    Args:
        root: of the file system.
    """
    left = [_left(folder, files) for folder, files in _groups(root)]
    return min((value for value in left if value is not None), default=None)


def _groups(root: Path) -> Iterator[tuple[Path, _Files]]:
    """Folders of the groups of this process, its own first; some may not be there.

    In a container the group's path is often that of the host, and the mount begins at the group itself.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, kinds, path = line.split(":", 2)
        if number == "0" and not kinds:
            mount, files = root / "sys/fs/cgroup", _SECOND
        elif "memory" in kinds.split(","):
            mount, files = root / "sys/fs/cgroup/memory", _FIRST
        else:
            continue
        own = mount / path.strip("/")
        yield from ((folder, files) for folder in (own, *own.parents) if folder.is_relative_to(mount))


def _left(group: Path, files: _Files) -> float | None:
    try:
        limit, used = ((group / name).read_text().strip() for name in files[:2])
        if limit == "max" or int(limit) >= 2**60:  # version 1 says "none" by a huge number
            return None
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(float(limit) - float(used) + float(stat.get(files.reclaimable, 0)), 0.0)
    except (OSError, ValueError):
        return None
