"""One holder at a time, none left behind by the dead, and no lock on a file that was removed."""

from __future__ import annotations

import errno
import fcntl
import logging
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from counterfoil.core.errors import CounterfoilWarning
from counterfoil.util.lock import InUse, holder, locked, named


def hold(path: Path, ready: object) -> None:
    with locked(path):
        ready.set()  # type: ignore[attr-defined]
        time.sleep(60)


def test_a_second_holder_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    with locked(tmp_path / "a"), pytest.raises(InUse, match=f"process {os.getpid()} on"):  # noqa: SIM117
        with locked(tmp_path / "a"):
            pass
    assert not (tmp_path / "a").exists()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    ready = context.Event()
    process = context.Process(target=hold, args=(tmp_path / "a", ready))
    process.start()
    assert ready.wait(60)
    with pytest.raises(InUse), locked(tmp_path / "a"):
        pass
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (tmp_path / "a").exists(), "what a killed process leaves behind"
    with locked(tmp_path / "a"):
        pass


def test_threads_that_wait_hold_it_one_by_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "counterfoil")
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(15):
            with locked(tmp_path / "a", wait_for="counts"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.001)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert "which counts" in caplog.text
    assert not (tmp_path / "a").exists()


def test_a_file_system_without_locks_is_told_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.warns(CounterfoilWarning, match="has no locks"), locked(tmp_path / "a"):
        pass


def test_the_holder_is_named_as_long_as_it_holds(tmp_path: Path) -> None:
    assert holder(tmp_path / "a") == ""
    with locked(tmp_path / "a"):
        assert holder(tmp_path / "a") == named(os.getpid())
    assert holder(tmp_path / "a") == ""
