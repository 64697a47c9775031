"""MNIST and its relatives: images and labels in IDX files."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.core.whole import whole
from counterfoil.data.base import ImageData, Images, Splits
from counterfoil.data.cache import cache_root, progress
from counterfoil.data.content import file_digests
from counterfoil.util.digest import digest

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
MAX_BYTES = 1 << 32
"""Of the values in one file."""

_UINT8 = 0x08
_TIMEOUT = 10.0


class IdxData(ImageData):
    """Four IDX files, gzipped or not, named train-images-idx3-ubyte or train-images.idx3-ubyte and so on.

    They are looked for in `root`, its sub-folders named like the set, and torchvision's (MNIST/raw); without
    `root`, in the folder named by the environment variable COUNTERFOIL_DATA and in the cache, and downloaded
    into the cache where they are in neither.

    Args:
        root: folder of the files.
        cache_dir: where downloads go; None: COUNTERFOIL_CACHE, else ~/.cache/counterfoil.

    Raises:
        UserError: files that cannot be found or fetched, or that are no whole IDX files.
    """

    mirrors: ClassVar[tuple[str, ...]] = ()
    md5: ClassVar[tuple[str, ...]] = ()
    """Checksums of the gzipped FILES, in order."""
    published: ClassVar[str] = ""
    """What `content` finds in the files as they were published: these are known by the set's name."""
    labels_named: tuple[str, ...] = tuple("0123456789")
    torchvision: ClassVar[str] = "MNIST"
    """The folder in which torchvision keeps the set, its files below raw/."""
    first_label: int = 0

    def __init__(
        self, *, root: str | Path | None = None, cache_dir: str | Path | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.root = None if root is None else Path(root).expanduser()
        self.cache_dir = cache_dir

    def content(self) -> str | None:
        """The unpacked files; None where they are those that were published."""
        files = self._files()
        found = digest(file_digests(files, files[0].parent, self.cache_dir, _bytes), 32)
        return None if found == self.published else found

    def load(self) -> Splits:
        """Read the four files."""
        train_x, train_y, test_x, test_y = self._files()
        train, test = self._images(train_x, train_y), self._images(test_x, test_y)
        if train.images.shape[1:] != test.images.shape[1:]:
            raise UserError(
                f"{test_x} holds images of {_sides(test.images)} but {train_x} of {_sides(train.images)}; "
                "one of them is of another set"
            )
        return Splits(train, test, self.labels_named)

    def at_hand(self) -> bool:
        """Whether the files are on this machine, so that `load` fetches nothing."""
        return any(all(_present(folder, name) for name in self.files) for folder in self._folders())

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the four files: images and labels of train, then of test."""
        return FILES

    def _images(self, images: Path, labels: Path) -> Images:
        x, y = read_idx(images, ndim=3), read_idx(labels, ndim=1).long()
        if len(x) != len(y):
            raise UserError(
                f"{images} holds {len(x)} images but {labels} holds {len(y)} labels; "
                "one of them is of another set"
            )
        if not x.numel() or x.shape[1] != x.shape[2]:
            raise UserError(
                f"{images} holds {len(x)} images of {_sides(x)}; expected at least one, and squares"
            )
        first, last = self.first_label, self.first_label + len(self.labels_named) - 1
        wrong = y[(y < first) | (y > last)]
        if len(wrong):
            raise UserError(f"{labels} holds the label {int(wrong[0])}; expected {first} to {last}")
        return Images(self.upright(x)[:, None], y - first)

    def upright(self, x: Tensor) -> Tensor:
        """Images (N, H, W) the right way up."""
        return x

    def _files(self) -> list[Path]:
        if self.root is not None and not self.root.is_dir():
            raise UserError(f"data.root={self.root} is not a folder; {self._fix()}")
        folders = self._folders()
        for folder in folders:
            found = [_present(folder, name) for name in self.files]
            if all(found):
                return [path for path in found if path]
        if self.root is not None:
            missing = [name for name in self.files if not any(_present(folder, name) for folder in folders)]
            raise UserError(f"data={self.name}: {self.root} has no {', '.join(missing)}; {self._fix()}")
        return self._download(folders)

    def _folders(self) -> list[Path]:
        if self.root is not None:
            return self._below(self.root)
        shared = os.environ.get("COUNTERFOIL_DATA")
        # Sets of this family share their file names: the variable's own folder may be another set's.
        own, *named = self._below(Path(shared).expanduser()) if shared else [None]
        given = [*named, own] if own else []
        return [*given, cache_root(self.cache_dir) / self.name]

    def _below(self, folder: Path) -> list[Path]:
        """A folder and those below it in which the set may lie."""
        named = (self.name, self.torchvision, f"{self.torchvision}/raw", "raw")
        return [folder, *(folder / name for name in named)]

    def _download(self, searched: list[Path]) -> list[Path]:
        folder = searched[-1]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, md5 in zip(FILES, self.md5, strict=True):
                if not (folder / f"{name}.gz").exists():
                    _fetch([f"{mirror}{name}.gz" for mirror in self.mirrors], folder / f"{name}.gz", md5)
        except OSError as error:
            places = ", ".join(str(place) for place in searched)
            raise UserError(
                f"data={self.name} is not in {places} and cannot be downloaded ({error}); {self._fix()}"
            ) from error
        return [folder / f"{name}.gz" for name in FILES]

    def _fix(self) -> str:
        return (
            f"put {', '.join(self.files)} (.gz or not) in a folder and name it by data.root=FOLDER, "
            "or take the shipped sample: data=digits"
        )


class Mnist(IdxData):
    """MNIST: 60,000 + 10,000 handwritten digits, 28 x 28.

    Reference: Gradient-based learning applied to document recognition (LeCun, Bottou, Bengio, Haffner, 1998)
    """

    name = "mnist"
    mirrors = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    md5 = (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    )
    published = "a24c8c5ba18676183efa367c978a7aff"


class FashionMnist(IdxData):
    """Fashion-MNIST: 60,000 + 10,000 grey pictures of clothes, 28 x 28.

    Reference: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms (Xiao et al.,
    2017), arXiv 1708.07747
    """

    name = "fashion_mnist"
    mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    torchvision = "FashionMNIST"
    md5 = (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    )
    labels_named = (
        "T-shirt",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )


def read_idx(path: Path, ndim: int) -> Tensor:
    """Read an IDX file of unsigned bytes, gzipped or not.

    It holds two zero bytes, type, number of dimensions, sizes (big endian), values.

    Returns:
        uint8 tensor of `ndim` dimensions.

    Raises:
        UserError: unreadable, of another type or number of dimensions, or with too few or too many bytes.
    """
    raw = _bytes(path)
    if raw[3] != ndim:
        raise UserError(
            f"{path} holds an array of {raw[3]} dimensions, expected {ndim}; it is of another set"
        )
    shape = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, 4 + 4 * ndim, 4)]
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape).copy())


def _bytes(path: Path) -> bytes:
    """An IDX file of bytes, unpacked: never more than its header promises, nor than MAX_BYTES."""
    with _reading(path) as file:
        start = file.read(4)
        sizes = file.read(4 * start[3]) if start[:3] == bytes((0, 0, _UINT8)) and len(start) == 4 else b""
        if not sizes or len(sizes) != 4 * start[3]:
            raise UserError(
                f"{path} is no IDX file of bytes: it begins with {(start + sizes).hex(' ')}, "
                "expected 00 00 08, the number of dimensions and the sizes; get it again"
            )
        shape = [int.from_bytes(sizes[at : at + 4], "big") for at in range(0, len(sizes), 4)]
        header, expected = len(start + sizes), math.prod(shape)
        if expected > MAX_BYTES:
            raise UserError(
                f"{path} is too large: its header says {tuple(shape)}, {expected:,} bytes, "
                f"expected at most {MAX_BYTES:,}; it is damaged, or choose data=folder"
            )
        raw = start + sizes + file.read(expected)
        more = file.read(1)
        if more or len(raw) != header + expected:
            raise UserError(
                f"{path} is damaged: {header + expected} bytes expected for shape {tuple(shape)}, "
                f"found {len(raw) + len(more)}{' or more' if more else ''}; get it again"
            )
    return raw


@contextmanager
def _reading(path: Path) -> Iterator[BufferedIOBase]:
    """The bytes of a file, unpacked where they are gzipped."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as content:
            yield content
    except (OSError, EOFError, zlib.error) as error:
        size = f" ({path.stat().st_size} bytes on disk)" if path.exists() else ""
        raise UserError(f"{path} cannot be read: {error}{size}; get it again") from error


def _sides(x: Tensor) -> str:
    return f"{x.shape[-2]} x {x.shape[-1]} pixels"


def _present(folder: Path, name: str) -> Path | None:
    """A file under one of its published names, or in the folder of its name that some archives make."""
    dotted = name.replace("-idx", ".idx")
    names = (name, f"{name}.gz", dotted, f"{dotted}.gz", f"{name}/{name}", f"{dotted}/{dotted}")
    return next((path for path in (folder / each for each in names) if path.is_file()), None)


def _fetch(urls: list[str], path: Path, md5: str) -> None:
    """Write the first url that gives the right bytes to `path`; raises the last OSError where none does."""
    failure: OSError = OSError("no mirror is known")
    for url in urls:
        try:
            content = _read_url(url, path.name)
        except OSError as error:
            failure = error
            continue
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
            with whole(path) as partial:
                partial.write_bytes(content)
            return
        failure = OSError(f"{url} has a wrong checksum")
    raise failure


def _read_url(url: str, label: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as response, progress() as bar:
        task = bar.add_task(
            f"Downloading {label}", total=int(response.headers.get("Content-Length", 0)) or None
        )
        chunks = []
        while chunk := response.read(1 << 16):
            chunks.append(chunk)
            bar.advance(task, len(chunk))
    return b"".join(chunks)
