"""A signal ends a script with 128 and its number: at once, or when it is looked at."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from counterfoil.util import signals


@pytest.fixture(autouse=True)
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    signals.listen()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signals._State.listening = False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_each_signal_has_its_exit_code(number: int, code: int) -> None:
    with pytest.raises(signals.Stopped) as end:
        os.kill(os.getpid(), number)
    assert end.value.code == code
    assert end.value.name == signal.Signals(number).name
    assert isinstance(end.value, SystemExit)


def test_while_patient_the_first_waits_and_the_second_does_not() -> None:
    reached = []

    def work() -> None:
        with signals.patient():
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append(signals.requested())
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("beyond")

    with pytest.raises(signals.Stopped):
        work()
    assert reached == [signal.SIGTERM]


def test_a_signal_that_nobody_looked_at_ends_what_was_patient() -> None:
    with pytest.raises(signals.Stopped) as end, signals.patient():
        os.kill(os.getpid(), signal.SIGINT)
    assert end.value.code == 130


def test_under_slurm_the_warning_signal_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    signals.listen_again()
    with pytest.raises(signals.Stopped) as end:
        os.kill(os.getpid(), signal.SIGUSR1)
    assert end.value.code == 128 + signal.SIGUSR1


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and shells in the background do
    signals.listen()
    os.kill(os.getpid(), signal.SIGINT)
