"""What processes at one training tell each other; a process by itself is told nothing."""

from __future__ import annotations

from itertools import chain

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.data.base import EpochSampler
from counterfoil.util import together


def dealt_to(monkeypatch: pytest.MonkeyPatch, rank: int, size: int, sampler: EpochSampler) -> list[list[int]]:
    monkeypatch.setattr(together._here, "rank", rank)
    monkeypatch.setattr(together._here, "size", size)
    with together.dealing():
        return list(sampler)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("length", [24, 25, 29])
def test_every_row_of_an_epoch_is_dealt_once(monkeypatch: pytest.MonkeyPatch, size: int, length: int) -> None:
    sampler = EpochSampler(length, 6, seed=1)
    whole = list(sampler)
    own = [dealt_to(monkeypatch, rank, size, sampler) for rank in range(size)]
    assert sorted(chain(*chain(*own))) == sorted(chain(*whole))
    for i, batch in enumerate(whole[: length // 6]):
        assert sorted(chain(*(batches[i] for batches in own))) == sorted(batch), "another batch than of one"


def test_rows_are_dealt_while_a_training_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together._here, "size", 2)
    assert list(EpochSampler(4, 2, shuffle=False)) == [[0, 1], [2, 3]]


def test_fewer_rows_than_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"trainer.devices=3: there are only 2 images"):
        dealt_to(monkeypatch, 0, 3, EpochSampler(2, 6))


def test_a_process_by_itself_keeps_its_values() -> None:
    value = torch.tensor([1.0, 2.0])
    assert together.summed(value) is value
    assert together.averaged(value) is value
    assert together.highest(3) == 3
    assert together.gathered([1, 2]) == [1, 2]
    assert together.shared(lambda: "made") == "made"
    assert (together.rank(), together.size()) == (0, 1)
