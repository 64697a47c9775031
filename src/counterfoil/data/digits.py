"""The shipped sample of MNIST, so that the demo and the tests need no network."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from counterfoil.data.base import ImageData, Images, Splits, stratified
from counterfoil.data.idx import FILES, read_idx
from counterfoil.util.digest import file_digest

ASSET = Path(__file__).parent / "assets" / "digits.npz"
SHIPPED = "e1397ec0b661b9f7be10e463e23c3a1dab2b4caf7fbe3df7e3116ae7e39178c7"


class Digits(ImageData):
    """10,000 training and 2,000 test images of MNIST, 28 x 28, each class equally often.

    Reference: Gradient-based learning applied to document recognition (LeCun, Bottou, Bengio, Haffner, 1998)
    """

    name = "digits"

    def content(self) -> str | None:
        """The sample's file; None where it is the one that is shipped."""
        found = file_digest(ASSET)
        return None if found == SHIPPED else found

    def load(self) -> Splits:
        """Read the asset."""
        with np.load(ASSET, allow_pickle=False) as asset:
            train, test = (
                Images(
                    torch.from_numpy(asset[f"{part}_images"])[:, None],
                    torch.from_numpy(asset[f"{part}_labels"]),
                )
                for part in ("train", "test")
            )
        return Splits(train, test, tuple("0123456789"))


def build(
    mnist_root: str | Path,
    out: str | Path = ASSET,
    *,
    per_class: tuple[int, int] = (1000, 200),
    seed: int = 0,
) -> None:
    """Write the asset: `per_class` training and test images of each digit of MNIST, in MNIST's order."""
    arrays: dict[str, NDArray[np.uint8]] = {}
    for part, names, number in zip(("train", "test"), (FILES[:2], FILES[2:]), per_class, strict=True):
        images, labels = (
            read_idx(Path(mnist_root) / f"{name}.gz", ndim=ndim)
            for name, ndim in zip(names, (3, 1), strict=True)
        )
        members = [(labels == digit).nonzero()[:, 0] for digit in range(10)]
        drawn = [
            rows[stratified(torch.zeros(len(rows), dtype=torch.int64), number, seed)] for rows in members
        ]
        rows = torch.cat(drawn).sort().values
        arrays |= {f"{part}_images": images[rows].numpy(), f"{part}_labels": labels[rows].numpy()}
    # numpy's stub takes every keyword for allow_pickle
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    build(sys.argv[1])
