"""The shipped sample."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch

from counterfoil.data.digits import ASSET, Digits, build
from counterfoil.data.idx import FILES


def test_sample_is_balanced_and_small() -> None:
    data = Digits()
    assert (len(data.train), len(data.val), len(data.test)) == (9000, 1000, 2000)
    assert data.train.labels.bincount().tolist() == [900] * 10
    assert data.test.labels.bincount().tolist() == [200] * 10
    assert (data.channels, data.size, data.class_names[7]) == (1, 28, "7")
    assert ASSET.stat().st_size < 3_000_000
    assert (ASSET.parent / "README.md").is_file()


def test_images_are_digits() -> None:
    """A nearest-mean classifier gets about 81 % of MNIST right; shuffled labels would give 10 %."""
    data = Digits()
    train, test = data.train[:], data.test[:]
    means = torch.stack([train.x[train.y == digit].mean(0).flatten() for digit in range(10)])
    accuracy = (torch.cdist(test.x.flatten(1), means).argmin(1) == test.y).float().mean()
    assert 0.75 < accuracy < 0.90


def test_build_draws_the_same_number_of_each_digit(tmp_path: Path) -> None:
    for i, name in enumerate(FILES):
        n = 60 if i < 2 else 30
        values = np.arange(n) % 10 if i % 2 else np.repeat(np.arange(n), 4).reshape(n, 2, 2)
        header = bytes((0, 0, 8, values.ndim)) + b"".join(size.to_bytes(4, "big") for size in values.shape)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))
    build(tmp_path, tmp_path / "one.npz", per_class=(4, 2))
    build(tmp_path, tmp_path / "two.npz", per_class=(4, 2))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as asset:
        assert np.bincount(asset["train_labels"]).tolist() == [4] * 10
        assert np.bincount(asset["test_labels"]).tolist() == [2] * 10
        rows = asset["train_images"][:, 0, 0]
        assert (rows % 10 == asset["train_labels"]).all()
        assert len(np.unique(rows)) == 40
