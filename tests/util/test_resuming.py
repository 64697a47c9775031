"""Checkpoints are whole, two are kept, damaged ones set aside; a cut-off epoch goes on where it was."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from counterfoil.core.errors import CounterfoilWarning
from counterfoil.util.resuming import BEFORE, LAST, Resumable, TwoWhole, damage, resume_from


def checkpoint(net: nn.Module, epoch: int = 1) -> dict[str, object]:
    return {"state_dict": net.state_dict(), "loops": {}, "epoch": epoch, "optimizer_states": []}


@pytest.fixture
def net() -> nn.Module:
    return nn.Linear(40, 3)


@pytest.fixture
def saved(tmp_path: Path, net: nn.Module) -> Path:
    for epoch in (1, 2, 3):
        TwoWhole().save_checkpoint(checkpoint(net, epoch), tmp_path / LAST)
    return tmp_path


def test_the_newest_and_the_one_before_are_kept(saved: Path, net: nn.Module) -> None:
    assert sorted(path.name for path in saved.iterdir()) == sorted((LAST, BEFORE))
    epochs = [TwoWhole().load_checkpoint(saved / name)["epoch"] for name in (BEFORE, LAST)]
    assert epochs == [2, 3]
    assert resume_from(saved, net) == saved / LAST
    assert resume_from(saved / "nothing", net) is None


def test_a_failed_write_leaves_both_as_they_were(
    saved: Path, net: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match=LAST):
            TwoWhole().save_checkpoint(checkpoint(net, 4), saved / LAST)
    assert [TwoWhole().load_checkpoint(saved / name)["epoch"] for name in (BEFORE, LAST)] == [2, 3]


def halved(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize("spoil", [halved, lambda _: b"", lambda _: b"\x80\x02cos\nsystem\n."])
def test_a_damaged_one_is_set_aside_for_the_one_before(saved: Path, net: nn.Module, spoil: object) -> None:
    (saved / LAST).write_bytes(spoil((saved / LAST).read_bytes()))  # type: ignore[operator]
    with pytest.warns(CounterfoilWarning, match=r"last\.ckpt is damaged .* tries before\.ckpt"):
        assert resume_from(saved, net) == saved / BEFORE
    assert (saved / "last.damaged").is_file()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resume_from(saved, net) == saved / BEFORE, "said once"
    (saved / BEFORE).write_bytes(b"")
    with pytest.warns(CounterfoilWarning, match=r"before\.ckpt is damaged .* starts anew"):
        assert resume_from(saved, net) is None


def test_every_byte_of_the_weights_counts(saved: Path, net: nn.Module) -> None:
    content = (saved / LAST).read_bytes()
    place = content.index(net.weight.detach().numpy().tobytes())
    for at in (place, place + 40, place + 479):
        spoilt = bytearray(content)
        spoilt[at] ^= 1
        (saved / LAST).write_bytes(spoilt)
        assert "is not what was written" in (damage(saved / LAST, net) or "")


def test_a_checkpoint_of_another_network_is_set_aside(saved: Path) -> None:
    assert damage(saved / LAST, nn.Linear(41, 3)) == "of another network"


class Count(Resumable[int]):
    def __len__(self) -> int:
        return 5

    def _batches(self) -> Iterator[int]:
        yield from range(5)


def test_an_epoch_begins_later_once() -> None:
    sampler = Count()
    begun = iter(sampler)
    sampler.first = 3  # after the loader has asked for an iterator, before the first batch
    assert list(begun) == [3, 4]
    assert list(sampler) == [0, 1, 2, 3, 4]
