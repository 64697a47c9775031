"""Counterfactuals in files: the same as in memory, whatever is asked, with one file read at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from counterfoil.core.batches import Batches, Note, regrouped
from counterfoil.core.counterfactuals import Counterfactuals, unknown_costs
from counterfoil.core.strip import Strip

SIZES = (3, 4, 2)
COLUMNS = ("query", "target", "source", "valid", "walked", "largest", "failures")


@pytest.fixture
def parts() -> list[Counterfactuals]:
    """Three batches; in the second nothing was searched, in the third a row failed."""
    draw = torch.Generator().manual_seed(0)
    found = []
    for place, rows in enumerate(SIZES):
        images = torch.randint(256, (rows, 5, 1, 2, 2), generator=draw) / 255
        logits = torch.randn(rows, 3, 2, generator=draw)
        strip = Strip(images[:, 2:], torch.rand(rows, 3, generator=draw), logits)
        found.append(
            Counterfactuals(
                images[:, 0],
                images[:, 1],
                torch.arange(rows) % 2,
                torch.randn(rows, 2, generator=draw),
                torch.randn(rows, 2, generator=draw),
                torch.arange(rows) + sum(SIZES[:place]),
                **unknown_costs(rows),
                strip=strip,
                changes={"Hat": torch.randn(rows, generator=draw)},
                extra={"z": torch.randn(rows, 6, generator=draw)},
            )
        )
    found[1] = replace(found[1], strip=None, changes={}, extra={})
    found[2] = replace(found[2], failed=torch.tensor([True, False]))
    return found


@pytest.fixture
def files(parts: list[Counterfactuals], tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"batch-{i}.safetensors" for i in range(len(parts))]
    for part, path in zip(parts, paths, strict=True):
        part.save(path)
    return paths


def same(one: Counterfactuals, other: Counterfactuals) -> bool:
    left, right = one.tensors(), other.tensors()
    return left.keys() == right.keys() and all(
        torch.equal(left[name].nan_to_num(7), right[name].nan_to_num(7)) for name in left
    )


@pytest.mark.parametrize("noted", [False, True])
def test_they_say_of_all_rows_what_one_set_says(
    parts: list[Counterfactuals], files: list[Path], noted: bool
) -> None:
    whole = Counterfactuals.cat(parts)
    batches = Batches(files, notes=[Note.of(part) for part in parts] if noted else None)
    assert len(batches) == len(whole) == 9
    for name in COLUMNS:
        assert torch.equal(torch.as_tensor(getattr(batches, name)), torch.as_tensor(getattr(whole, name))), (
            name
        )
    assert torch.equal(batches.failed, whole.failed)
    assert torch.equal(batches.changes["Hat"], whole.changes["Hat"])
    assert list(batches.extra) == ["z"]
    for found, expected in zip(batches.posteriors, whole.posteriors, strict=True):
        torch.testing.assert_close(found, expected, equal_nan=True)
    assert same(Counterfactuals.cat(list(batches)), whole)
    assert same(Counterfactuals.cat(list(batches)), whole), "as often as asked"


@pytest.mark.parametrize(
    "rows", [slice(None), slice(2, 5), slice(0, 0), torch.tensor([8, 0, 3, 3]), torch.arange(9) % 4 == 0]
)
def test_rows_are_those_of_the_whole_in_the_order_asked(
    parts: list[Counterfactuals], files: list[Path], rows: slice | torch.Tensor
) -> None:
    assert same(Batches(files)[rows], Counterfactuals.cat(parts)[rows])


def test_the_files_of_the_rows_alone_are_read(parts: list[Counterfactuals], files: list[Path]) -> None:
    read: list[str] = []

    def load(path: Path) -> Counterfactuals:
        read.append(path.name)
        return Counterfactuals.load(path)

    batches = Batches(files, load, [Note.of(part) for part in parts])
    assert batches.valid.any()
    assert not read
    assert batches[torch.tensor([8, 0, 7])].query.tolist() == [8, 0, 7]
    assert read == ["batch-0.safetensors", "batch-2.safetensors"]


def test_some_rows_and_no_strips(parts: list[Counterfactuals], files: list[Path]) -> None:
    whole, kept = Counterfactuals.cat(parts), torch.arange(9) > 3
    some = Batches(files).only(kept)
    assert same(some[:], whole[kept])
    assert same(Counterfactuals.cat(list(some)), whole[kept])
    assert same(Batches(files).bare[:], whole.bare)


@pytest.mark.parametrize("rows", [1, 2, 5, 9, 20])
def test_batches_of_another_size(parts: list[Counterfactuals], files: list[Path], rows: int) -> None:
    found = list(regrouped(Batches(files), rows))
    assert [len(part) for part in found[:-1]] == [rows] * (len(found) - 1)
    assert same(Counterfactuals.cat(found), Counterfactuals.cat(parts))


def test_nothing_regrouped_is_nothing() -> None:
    assert list(regrouped([], 4)) == []
