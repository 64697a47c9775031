"""What a data set is to the rest of the project: uint8 images in three splits, served by index."""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Literal, NamedTuple

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from counterfoil.core.bounds import Count, Fraction, Seed, checks_options
from counterfoil.core.domain import IMAGES, Domain
from counterfoil.core.errors import UserError
from counterfoil.data.classes import keep_classes
from counterfoil.data.decode import Shape
from counterfoil.data.planted import cause, plant
from counterfoil.util.resuming import Resumable

MAX_VAL = 10_000
"""A validation split held out of the training images never holds more than this."""


class Batch(NamedTuple):
    """Images x (B, C, H, W) float32 in [0, 1], labels y (B,) int64, attributes a (B, A) in {0, 1} or None."""

    x: Tensor
    y: Tensor
    a: Tensor | None


class Images(Dataset[Batch]):
    """One split, held as uint8 and turned into float batch by batch: x = images[index] / 255.

    Args:
        images: uint8 (N, C, H, W), in memory or backed by a memory map.
        labels: int64 (N,).
        attributes: uint8 (N, A) in {0, 1}, or None.
        names: of the images, their files' or their places in the published order; None: 0 to N - 1.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        attributes: Tensor | None = None,
        names: Sequence[str | int] | None = None,
    ) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise ValueError(f"images must be uint8 (N, C, H, W), found {images.dtype} {tuple(images.shape)}")
        lengths = [len(rows) for rows in (images, labels, attributes, names) if rows is not None]
        if len(set(lengths)) != 1:
            raise ValueError(f"images, labels, attributes and names differ in length: {lengths}")
        self.images = images
        self.labels = labels.to(torch.int64)
        self.attributes = attributes
        self.names: Sequence[str | int] = range(len(labels)) if names is None else names

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Batch:
        """The rows requested in one vectorised go; a single int gives one image without a batch dimension."""
        rows = index if isinstance(index, int | slice | Tensor) else torch.as_tensor(index)
        attributes = None if self.attributes is None else self.attributes[rows].to(torch.float32)
        return Batch(self.images[rows].to(torch.float32).div_(255), self.labels[rows], attributes)

    def held(self) -> tuple[Tensor | None, ...]:
        """The tensors that the split is made of."""
        return self.images, self.labels, self.attributes

    def labelled(self, labels: Tensor) -> Images:
        """The same images with other labels (N,)."""
        return Images(self.images, labels, self.attributes, self.names)

    def take(self, rows: Tensor | slice) -> Images:
        """The split that holds these rows alone; a slice shares memory, an index copies."""
        names = self.names[rows] if isinstance(rows, slice) else self._named(rows)
        attributes = None if self.attributes is None else self.attributes[rows]
        return Images(self.images[rows], self.labels[rows], attributes, names)

    def joined(self, more: Images) -> Images:
        """These rows and then the others; attributes where both have them."""
        both = self.attributes is not None and more.attributes is not None
        attributes = torch.cat((self.attributes, more.attributes)) if both else None  # type: ignore[arg-type]
        names = (*self.names, *more.names)
        return Images(
            torch.cat((self.images, more.images)), torch.cat((self.labels, more.labels)), attributes, names
        )

    def cut(self, sizes: Sequence[int]) -> list[Images]:
        """Consecutive parts of these sizes, sharing memory."""
        ends = [0, *accumulate(sizes)]
        return [self.take(slice(start, end)) for start, end in pairwise(ends)]

    def _named(self, rows: Tensor) -> tuple[str | int, ...]:
        chosen = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        return tuple(self.names[row] for row in chosen.tolist())


class EpochSampler(Resumable[list[int]]):
    """Index lists, one per batch, whose order is a function of (seed, epoch) alone.

    A resumed run therefore sees the same batches.
    Args:
        length: number of rows.
        batch_size: rows per batch.
        seed: of the order; not used without `shuffle`.
        shuffle: a new order each epoch, else rows in order.
        drop_last: leave out the last batch where it is short, unless it is the only one.
    """

    def __init__(
        self, length: int, batch_size: Count, *, seed: Seed = 0, shuffle: bool = True, drop_last: bool = False
    ) -> None:
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_last = drop_last and length > batch_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next; Lightning calls this before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.batch_size if self.drop_last else -(-self.length // self.batch_size)

    def _batches(self) -> Iterator[list[int]]:
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(self.length, generator=generator)
        else:
            order = torch.arange(self.length)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield order[start : start + self.batch_size].tolist()


@dataclass(frozen=True)
class Splits:
    """What a data set loads: its splits and their names. Without `val`, one is held out of `train`."""

    train: Images
    test: Images
    class_names: tuple[str, ...]
    val: Images | None = None
    attribute_names: tuple[str, ...] = ()


@checks_options
class ImageData(LightningDataModule, ABC):
    """A data set in three splits.

    A new one writes `load` and, where it has options that change the content, `options`; one that reads many
    files writes `content` too. The splits are loaded when first requested, by `setup` or by reading any
    property below `identity`.

    Args:
        name: what the set is called in hashes, messages and reports; None: the class's own name for it.
        batch_size: rows per batch, for all three loaders.
        seed: of the validation split and of the order of training batches.
        limit: keep this many images of each split, classes in proportion; None: all.
        attribute: make the labels this attribute's 0/1, or with "A+B" those of having both; None: the data's
            own classes.
        classes: keep the images of these classes alone, by name or number; they are numbered in this order.
            None: all.
        tint, mark, backdrop: a cause planted into the images, by the labels; see `counterfoil.data.planted`.
        val_fraction: share of the training images held out, stratified, at most 10,000, where the set has no
            split of its own.

    Raises:
        UserError: an option out of range, an attribute that the data lack or that is the same in every
            training image.
    """

    name: str = "images"
    labelled: bool = True
    """Whether labels and training images are there."""
    query_split: str = "test"
    """Whose images the queries are: test, or val while options are tuned."""

    def __init__(
        self,
        *,
        name: str | None = None,
        batch_size: Count = 128,
        seed: Seed = 0,
        limit: Count | None = None,
        attribute: str | None = None,
        classes: Sequence[str | int] | None = None,
        tint: Mapping[str, Any] | None = None,
        mark: Mapping[str, Any] | None = None,
        backdrop: Mapping[str, Any] | None = None,
        val_fraction: Fraction = 0.1,
    ) -> None:
        super().__init__()
        self.name = name or self.name
        self.batch_size = batch_size
        self.seed = seed
        self.limit = limit
        self.attribute = attribute
        self.classes = None if classes is None else tuple(classes)
        self.val_fraction = val_fraction
        given = {"tint": tint, "mark": mark, "backdrop": backdrop}
        self.causes = {key: cause(key, options) for key, options in given.items() if options is not None}

    @abstractmethod
    def load(self) -> Splits:
        """Read the data; called once."""

    def options(self) -> dict[str, Any]:
        """Options of the subclass that change the content."""
        return {}

    def content(self) -> str | None:
        """A digest of the images and their labels; None where name and options tell all of it.

        As it stands, all images are loaded; `data.content.file_digests` tells what files hold sooner.
        """
        return splits_digest(self._loaded)

    @property
    def images_identity(self) -> dict[str, Any]:
        """What makes the images what they are, whichever attribute their labels tell."""
        told = {
            "name": self.name,
            "seed": self.seed,
            "limit": self.limit,
            "val_fraction": self.val_fraction,
            **self.options(),
        }
        told |= {} if self.classes is None else {"classes": [str(one) for one in self.classes]}
        if self.causes:  # planted by the labels, whichever attribute they tell
            told |= {name: asdict(one) for name, one in self.causes.items()} | {"by": self.attribute}
        return told if self._content is None else {**told, "content": self._content}

    @property
    def identity(self) -> dict[str, Any]:
        """What makes images and labels what they are: names, options and content."""
        return {**self.images_identity, "attribute": self.attribute}

    @property
    def domain(self) -> Domain:
        """What kind of input it holds."""
        return IMAGES

    def setup(self, stage: str | None = None) -> None:
        """Load all splits; a second call does nothing."""
        _ = self._splits

    @property
    def train(self) -> Images:
        """The training split."""
        return self._splits.train

    @property
    def val(self) -> Images:
        """The validation split."""
        assert self._splits.val is not None
        return self._splits.val

    @property
    def test(self) -> Images:
        """The test split."""
        return self._splits.test

    @property
    def queried(self) -> Images:
        """The images of `query_split`, which queries and the real images of metrics are taken from."""
        return self.val if self.query_split == "val" else self.test

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each label."""
        return self._splits.class_names

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """A name for each column of `attributes`; empty where there are none."""
        return self._splits.attribute_names

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """C."""
        return self.train.images.shape[1]

    @property
    def size(self) -> int:
        """H, which equals W."""
        return self.train.images.shape[-1]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one input of a model."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    @property
    def shape(self) -> Shape:
        """How an image file becomes an image of these data."""
        return Shape(self.channels, self.size)

    def outliers(self, x: Tensor) -> dict[str, Tensor]:
        """Outliers (B, C, H, W) by kind, made of images (B, C, H, W) of these data; see `data.outliers`."""
        from counterfoil.data.outliers import outliers  # it loads other data sets

        return outliers(x, self.name if self.labelled else "")

    def with_train(self, train: Images) -> ImageData:
        """The same data with another training split."""
        other = copy.copy(self)
        other.__dict__["_splits"] = replace(self._splits, train=train)
        return other

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches, another order each epoch, the short last one left out."""
        return self._loader(self.train, shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation batches in order."""
        return self._loader(self.val, shuffle=False)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test batches in order."""
        return self._loader(self.test, shuffle=False)

    def _loader(self, images: Images, *, shuffle: bool) -> DataLoader[Batch]:
        return loader(images, self.batch_size, self.seed, shuffle=shuffle)

    @cached_property
    def _content(self) -> str | None:
        return self.content()

    @cached_property
    def _splits(self) -> Splits:
        splits = self._loaded
        splits = splits if self.attribute is None else bind(splits, self.attribute, self.name)
        return plant(splits, self.causes, self.seed)

    @cached_property
    def _loaded(self) -> Splits:
        """The splits with the labels that the data have."""
        splits = self.load()
        if self.classes is not None:
            splits = keep_classes(splits, self.classes, self.name)
        if splits.val is None:
            splits = hold_out(splits, self.val_fraction, self.seed)
        assert splits.val is not None
        if self.limit is not None:
            train, val, test = (_first(part, self.limit) for part in (splits.train, splits.val, splits.test))
            splits = replace(splits, train=train, val=val, test=test)
        return splits


def loader(rows: Dataset[Batch], batch_size: int, seed: int, *, shuffle: bool) -> DataLoader[Batch]:
    """Batches of rows in order; with `shuffle` in another order each epoch, the short last one left out.

    Args:
        rows: what an index list takes a batch from; has a length.
        batch_size: rows per batch.
        seed: of the order.
        shuffle: as for training.
    """
    length = len(rows)  # type: ignore[arg-type]
    sampler = EpochSampler(length, batch_size, seed=seed, shuffle=shuffle, drop_last=shuffle)
    # else every iterator draws from the global one, and a resumed training makes one iterator less
    own = torch.Generator()
    return DataLoader(rows, sampler=sampler, batch_size=None, num_workers=0, generator=own)


def splits_digest(splits: Splits) -> str:
    """32 hex digits that stand for images, labels, attributes and names."""
    seen = hashlib.sha256(repr((splits.class_names, splits.attribute_names)).encode())
    for part in (splits.train, splits.val, splits.test):
        for values in () if part is None else part.held():
            if values is not None:
                seen.update(repr(tuple(values.shape)).encode())
                seen.update(values.contiguous().numpy().data)
    return seen.hexdigest()[:32]


def stratified(labels: Tensor, n: int, seed: int | None = None) -> Tensor:
    """Ascending indices (n,) with the classes in proportion, every class at least once where n >= K.

    Rows are taken in order of (rank within the class) / (size of the class).

    Args:
        labels: int64 (N,).
        n: how many; more than N gives all.
        seed: draw the rows of each class; None takes the first ones.
    """
    order = (
        torch.arange(len(labels))
        if seed is None
        else torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    )
    shuffled = labels[order]
    by_class = shuffled.argsort(stable=True)
    counts = shuffled.bincount()
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(by_class)
    rank[by_class] = torch.arange(len(labels)) - starts[shuffled[by_class]]
    chosen = (rank.double() / counts[shuffled]).argsort(stable=True)[:n]
    return order[chosen].sort().values


def half_of(images: Images, half: Literal["first", "second"], seed: int) -> Images:
    """One of two halves of a split, classes in proportion, which share no image and hold all together.

    Args:
        images: the split; halves of the same labels alone are sure to share no image.
        half: which of them; the first has the odd image.
        seed: of the draw.
    """
    rows = stratified(images.labels, (len(images) + 1) // 2, seed)
    if half == "first":
        return images.take(rows)
    left = torch.ones(len(images), dtype=torch.bool)
    left[rows] = False
    return images.take(left.nonzero()[:, 0])


def hold_out(splits: Splits, fraction: float, seed: int) -> Splits:
    """Split the training images into train and val, stratified; each class keeps a training image."""
    total = len(splits.train)
    size = max(1, min(round(fraction * total), MAX_VAL))
    kept = stratified(splits.train.labels, total - size, seed)
    held = torch.ones(total, dtype=torch.bool)
    held[kept] = False
    return replace(splits, train=splits.train.take(kept), val=splits.train.take(held.nonzero()[:, 0]))


def bind(splits: Splits, attribute: str, name: str) -> Splits:
    """Make the labels an attribute's 0/1, with the classes ("not A", "A"); "A+B" stands for both at once."""
    parts = [attribute] if attribute in splits.attribute_names else attribute.split("+")
    if not all(part in splits.attribute_names for part in parts):
        known = ", ".join(splits.attribute_names) or "none"
        raise UserError(f"attribute={attribute} is not in data={name}; known attributes: {known}")
    columns = [splits.attribute_names.index(part) for part in parts]
    train, test = _relabelled(splits.train, columns), _relabelled(splits.test, columns)
    val = None if splits.val is None else _relabelled(splits.val, columns)
    if train.labels.min() == train.labels.max():
        raise UserError(
            f"attribute={attribute} is {int(train.labels[0])} in all {len(train)} training images of "
            f"data={name}; choose an attribute that varies, or a larger data.limit"
        )
    return replace(splits, train=train, val=val, test=test, class_names=(f"not {attribute}", attribute))


def _relabelled(images: Images, columns: list[int]) -> Images:
    assert images.attributes is not None
    labels = images.attributes[:, columns].amin(1)
    return images.labelled(labels)


def _first(images: Images, limit: int) -> Images:
    return images if len(images) <= limit else images.take(stratified(images.labels, limit))
