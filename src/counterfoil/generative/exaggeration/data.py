"""Grades training images, and serves them with every bin of every target equally often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from counterfoil.core.errors import UserError
from counterfoil.data.base import EpochSampler, Images
from counterfoil.generative.exaggeration.calibration import Knob
from counterfoil.util.resuming import Resumable


class Asked(NamedTuple):
    """Images x (B, C, H, W) in [0, 1], the slots (B,) they are seen under, the bins (B,) they are drawn for.

    A bin is -1 where an image is drawn for none.
    """

    x: Tensor
    slot: Tensor
    bin: Tensor


class AskedImages(Dataset[Asked]):
    """Images addressed by (row, slot, bin): an index (B, 3)."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def __getitem__(self, index: Tensor) -> Asked:
        return Asked(self.images[index[:, 0]].x, index[:, 1], index[:, 2])


class BalancedSampler(Resumable[Tensor]):
    """Indices (B, 3) drawn with replacement: slot, then bin, then an image of that cell, each uniformly.

    A function of (seed, epoch).

    Args:
        cells: rows of each cell; an empty one is not allowed.
        bins: bins per slot.
        batch_size, steps: of an epoch.
    """

    def __init__(self, cells: list[Tensor], bins: int, batch_size: int, steps: int, seed: int) -> None:
        self.rows = torch.cat(cells)
        self.sizes = torch.tensor([len(cell) for cell in cells])
        self.starts = self.sizes.cumsum(0) - self.sizes
        self.bins, self.batch_size, self.steps, self.seed = bins, batch_size, steps, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws come next; Lightning calls this before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def _batches(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        for _ in range(self.steps):
            cell = torch.randint(len(self.sizes), (self.batch_size,), generator=generator)
            place = (
                torch.rand(self.batch_size, generator=generator, dtype=torch.float64) * self.sizes[cell]
            ).long()
            yield torch.stack(
                (self.rows[self.starts[cell] + place], cell // self.bins, cell % self.bins), dim=1
            )


class InOrder(Sampler[Tensor]):
    """Indices (B, 3) of given rows in order, each under a slot in turn."""

    def __init__(self, rows: Tensor, slots: int, batch_size: int) -> None:
        turn = torch.arange(len(rows)) % slots
        self.index = torch.stack((rows, turn, torch.full_like(rows, -1)), dim=1)
        self.order = EpochSampler(len(rows), batch_size, shuffle=False)

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self.order:
            yield self.index[batch]


class BalancedData(LightningDataModule):
    """Balanced batches for training, fixed rows for validation and test."""

    def __init__(
        self, train: Images, val: Images, test: Images, samplers: tuple[BalancedSampler, InOrder, InOrder]
    ) -> None:
        super().__init__()
        self.parts = list(zip((train, val, test), samplers, strict=True))

    def train_dataloader(self) -> DataLoader[Asked]:
        """Balanced draws."""
        return self._loader(0)

    def val_dataloader(self) -> DataLoader[Asked]:
        """The watched validation images."""
        return self._loader(1)

    def test_dataloader(self) -> DataLoader[Asked]:
        """The test images."""
        return self._loader(2)

    def _loader(self, part: int) -> DataLoader[Asked]:
        images, sampler = self.parts[part]
        return DataLoader(
            AskedImages(images), sampler=sampler, batch_size=None, num_workers=0, generator=torch.Generator()
        )


def fill(bins: Tensor, number: int, empty: str) -> tuple[list[Tensor], Tensor]:
    """Rows of each cell, and which cells borrowed theirs from the nearest filled bin: bool (T * number,).

    Args:
        bins: (T, N), the bin of each image in each slot.
        number: bins per slot.
        empty: "error" or "borrow".
    """
    cells, borrowed = [], []
    for slot, row in enumerate(bins):
        counts = torch.bincount(row, minlength=number)
        vacant = (counts == 0).nonzero()[:, 0].tolist()
        if vacant and empty == "error":
            raise UserError(
                f"exaggerator: after calibration no training image lies in bin {vacant[0]} of "
                f"0..{number - 1} of target {slot} (images per bin: {counts.tolist()}); lower net.bins, "
                "train on more images, or set training.empty=borrow to show the discriminator real images "
                "of the nearest filled bin instead"
            )
        filled = (counts > 0).nonzero()[:, 0]
        for k in range(number):
            nearest = filled[(filled - k).abs().argmin()]
            cells.append((row == nearest).nonzero()[:, 0])
            borrowed.append(k in vacant)
    return cells, torch.tensor(borrowed)


def of_classes(images: Images, pair: tuple[int, int] | None) -> Images:
    """The images of a pair's classes, or all."""
    if pair is None:
        return images
    return images.take(((images.labels == pair[0]) | (images.labels == pair[1])).nonzero()[:, 0])


def refuse_single_class(images: Images, pair: tuple[int, int] | None) -> None:
    """Refuse training images of one class.

    Raises:
        UserError: fewer than two classes are among them.
    """
    found = torch.unique(images.labels).tolist() if len(images) else []
    if len(found) < 2:
        wanted = f"classes {pair[0]} and {pair[1]}" if pair else "at least two classes"
        held = f"class {found[0]} alone" if found else "none of these classes"
        raise UserError(
            f"exaggerator: the training images hold {held}, expected {wanted}; choose another net.targets, "
            "or data in which the target varies"
        )


def grade(classifier: nn.Module, knob: Knob, images: Images, rows: int = 512) -> Tensor:
    """A classifier's log-odds (T, N) on a split, a row per slot, on the CPU; `rows` images at once."""
    reference = next(classifier.parameters(), torch.zeros(1))
    parts = []
    with torch.no_grad():
        for start in range(0, len(images), rows):
            logits = classifier(images[slice(start, start + rows)].x.to(reference)).float().cpu()
            slots = [torch.full((len(logits),), slot) for slot in range(len(knob.slots))]
            parts.append(torch.stack([knob.log_odds(logits, slot) for slot in slots]))
    return torch.cat(parts, dim=1)
