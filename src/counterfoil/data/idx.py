"""MNIST and its relatives: images and labels in IDX files."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import urllib.request
import zlib
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
_UINT8 = 0x08
_TIMEOUT = 10.0


class IdxData(ImageData):
    """Four IDX files, gzipped or not.

    They are looked for in `root` and its sub-folder named like the set; without `root`, in the folder named
    by the environment variable COUNTERFOIL_DATA and in the cache, and downloaded into the cache where they
    are in neither.

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
    labels_named: ClassVar[tuple[str, ...]] = tuple("0123456789")

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
        return Splits(self._images(train_x, train_y), self._images(test_x, test_y), self.labels_named)

    def at_hand(self) -> bool:
        """Whether the files are on this machine, so that `load` fetches nothing."""
        return any(all(_present(folder, name) for name in FILES) for folder in self._folders())

    def _images(self, images: Path, labels: Path) -> Images:
        x, y = read_idx(images, ndim=3), read_idx(labels, ndim=1).long()
        if len(x) != len(y):
            raise UserError(
                f"{images} holds {len(x)} images but {labels} holds {len(y)} labels; "
                "one of them is of another set"
            )
        if int(y.max()) >= len(self.labels_named):
            raise UserError(
                f"{labels} holds the label {int(y.max())}; expected 0 to {len(self.labels_named) - 1}"
            )
        return Images(x[:, None], y)

    def _files(self) -> list[Path]:
        if self.root is not None and not self.root.is_dir():
            raise UserError(f"data.root={self.root} is not a folder; {self._fix()}")
        folders = self._folders()
        for folder in folders:
            found = [_present(folder, name) for name in FILES]
            if all(found):
                return [path for path in found if path]
        if self.root is not None:
            missing = [name for name in FILES if not any(_present(folder, name) for folder in folders)]
            raise UserError(f"data={self.name}: {self.root} has no {', '.join(missing)}; {self._fix()}")
        return self._download(folders)

    def _folders(self) -> list[Path]:
        if self.root is not None:
            return [self.root, self.root / self.name]
        shared = os.environ.get("COUNTERFOIL_DATA")
        # Sets of this family share their file names: the variable's own folder may be another set's.
        given = [Path(shared).expanduser() / self.name, Path(shared).expanduser()] if shared else []
        return [*given, cache_root(self.cache_dir) / self.name]

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
            f"put {', '.join(FILES)} (.gz or not) in a folder and name it by data.root=FOLDER, "
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
    header = 4 + 4 * ndim
    if len(raw) < header or raw[:4] != bytes((0, 0, _UINT8, ndim)):
        raise UserError(
            f"{path} is no IDX file of {ndim}-d bytes: it begins with {raw[:4].hex(' ')}, "
            f"expected 00 00 08 {ndim:02x}"
        )
    shape = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, header, 4)]
    expected = header + math.prod(shape)
    if len(raw) != expected:
        raise UserError(
            f"{path} is damaged: {expected} bytes expected for shape {tuple(shape)}, found {len(raw)}; "
            "get it again"
        )
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=header).reshape(shape).copy())


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return gzip.open(path).read() if packed else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read: {error} ({path.stat().st_size} bytes on disk); get it again"
        ) from error


def _present(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


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
