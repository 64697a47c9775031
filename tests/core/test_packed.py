"""One-hot rows are small in a file and come back bitwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.packed import pack, unpack
from counterfoil.testing.toys import counterfactuals


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_come_back_bitwise(dtype: torch.dtype) -> None:
    ids = torch.randint(50, (3, 1, 7), generator=torch.Generator().manual_seed(0))
    x = torch.nn.functional.one_hot(ids, 50).to(dtype)
    soft = x * 0.9
    given = {"x": x, "soft": soft, "target": torch.arange(3), "one": torch.ones(3)}
    packed, told = pack(given)
    assert packed["x"].shape == (3, 1, 7)
    assert packed["soft"] is soft
    back = unpack(packed, told)
    for name, value in given.items():
        assert torch.equal(back[name], value)
        assert back[name].dtype == value.dtype


def test_a_file_of_texts_is_small(tmp_path: Path) -> None:
    """100 texts of 20 tokens out of 4,000, with their counterfactuals, take less than 100 kB."""
    ids = torch.randint(4000, (2, 100, 1, 20), generator=torch.Generator().manual_seed(0))
    factual, made = torch.nn.functional.one_hot(ids, 4000).float()
    shown = {"factual": factual, "counterfactual": made, "extra": {"reconstruction": factual}}
    cf = replace(counterfactuals(100), **shown)
    cf.save(tmp_path / "cf.safetensors")
    assert (tmp_path / "cf.safetensors").stat().st_size < 100_000
    read = Counterfactuals.load(tmp_path / "cf.safetensors")
    assert torch.equal(read.counterfactual, made)
    assert torch.equal(read.extra["reconstruction"], factual)


def test_images_are_not_touched() -> None:
    cf = counterfactuals(4)
    packed, told = pack(cf.tensors())
    assert not told
    assert all(packed[name] is value for name, value in cf.tensors().items())
