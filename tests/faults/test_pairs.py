"""Two runs at once into one store or folder: both end right, or one says that the other is at work."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.faults import act, child
from tests.faults.conftest import Fault
from tests.faults.fault import share

PAIRS = (
    "train, train",
    "train anew, train anew",
    "train, killed while the other waits",
    "evaluate, evaluate in one folder",
    "evaluate, evaluate in two",
    "evaluate anew, evaluate anew",
    "study, study",
)


@pytest.mark.parametrize("again", share(list(range(4)), quick=1))
@pytest.mark.parametrize("pair", share(list(PAIRS), quick=2))
def test_pair(pair: str, again: int, bench: Bench, fault: Fault, tmp_path: Path) -> None:
    first, second, alone = acts(pair, bench.store, tmp_path)
    if "anew" in pair:
        assert child.run(alone, tmp_path).right
    gate = child.CONTEXT.Barrier(2)
    kill = 8 + again if "killed" in pair else 0
    if kill:
        killed = child.start(first, tmp_path, kill_at=kill)
        wait_for_lock(tmp_path / "t" / "store")
        ends = [killed, child.start(second, tmp_path)]
    else:
        ends = [child.start(each, tmp_path, gate=gate) for each in (first, second)]
    found = [end() for end in ends]
    assert not kill or found[0].code == -9
    right = child.run(alone_elsewhere(pair, bench.store, tmp_path), tmp_path).right
    live = found[1:] if kill else found
    assert any(not end.line for end in live), [end.line for end in live]
    for end in live:
        fault("concurrent pair", lambda end=end: end.right, right)
    assert not list(tmp_path.rglob("*.lock"))


def wait_for_lock(store: Path) -> None:
    """Until the first has begun to train."""
    deadline = time.monotonic() + child.PATIENCE
    while not list(store.glob("*.lock")):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def acts(pair: str, store: Path, folder: Path) -> tuple[Any, Any, Any]:
    """The two that are begun at once, and one for before where they replace something."""
    anew = ("overwrite=true",) if "anew" in pair else ()
    if pair.startswith("train"):
        return act.Train(folder / "t", anew), act.Train(folder / "t", anew), act.Train(folder / "t")
    if pair.startswith("study"):
        return (act.Study(store, folder / "s"),) * 3
    places = [folder / "e" / name for name in ("1", "2" if "two" in pair else "1")]
    seed = ("seed=0",) if "two" in pair else ()
    first, second = (act.Evaluate(store, place, (*anew, *seed)) for place in places)
    return first, second, act.Evaluate(store, places[0], seed)


def alone_elsewhere(pair: str, store: Path, folder: Path) -> Any:
    """The same, undisturbed."""
    if pair.startswith("train"):
        return act.Train(folder / "alone")
    if pair.startswith("study"):
        return act.Study(store, folder / "alone")
    return act.Evaluate(store, folder / "alone")
