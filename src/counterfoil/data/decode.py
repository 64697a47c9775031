"""Image files to uint8 arrays of one size, on all cores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.data.cache import cache_root, cores, digest, open_cached, progress, write_cached

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_CHUNK = 256


@dataclass(frozen=True)
class Shape:
    """What every picture becomes: `channels` (1 grey, 3 colour), a square, then `size` x `size` pixels.

    The square is the middle one of side `crop`, or of the picture's shorter side where that is smaller or
    `crop` is None.
    """

    channels: int
    size: int
    crop: int | None = None

    def of(self, picture: Image) -> NDArray[np.uint8]:
        """uint8 (C, size, size)."""
        from PIL.Image import Resampling, fromarray

        if picture.mode.startswith("I"):  # 16 bits; convert would clip at 255
            picture = fromarray((np.asarray(picture) >> 8).astype(np.uint8))
        picture = picture.convert("L" if self.channels == 1 else "RGB")
        side = min(*picture.size, self.crop or max(picture.size))
        left, top = ((extent - side) // 2 for extent in picture.size)
        if picture.size != (side, side):
            picture = picture.crop((left, top, left + side, top + side))
        if side != self.size:
            picture = picture.resize((self.size, self.size), Resampling.LANCZOS)
        pixels = np.asarray(picture, dtype=np.uint8)
        return pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1)


def image_files(folder: Path) -> list[Path]:
    """The image files right in a folder, by name."""
    with os.scandir(folder) as entries:  # an entry mostly knows its kind, which Path asks the disk for
        names = {entry.name for entry in entries if _suffix(entry.name) in SUFFIXES and entry.is_file()}
    return sorted((path for path in folder.iterdir() if path.name in names), key=lambda path: path.name)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def open_image(path: Path) -> Image:
    """Read a picture whole; a UserError names a file that is missing, no picture or truncated."""
    from PIL import Image, ImageOps

    try:
        picture: Image.Image
        with Image.open(path) as picture:
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; put it there or take it off the list") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be read as an image ({error}); replace or remove it") from error
    return picture


def decode(files: Sequence[Path], shape: Shape) -> Iterator[NDArray[np.uint8]]:
    """Chunks uint8 (n, C, H, W) in the order of the files, decoded by threads.

    Threads suffice: reading and scaling pictures frees Python's lock.
    """

    def one(path: Path) -> NDArray[np.uint8]:
        return shape.of(open_image(path))

    pool = ThreadPoolExecutor(cores())
    try:
        for start in range(0, len(files), _CHUNK):
            yield np.stack(list(pool.map(one, files[start : start + _CHUNK])))
    finally:
        pool.shutdown(cancel_futures=True)


def decode_in_memory(files: Sequence[Path], shape: Shape) -> Tensor:
    """All files as one uint8 tensor (N, C, H, W)."""
    images = torch.empty(len(files), shape.channels, shape.size, shape.size, dtype=torch.uint8)
    with progress() as bar:
        task, start = bar.add_task("Reading images", total=len(files)), 0
        for chunk in decode(files, shape):
            images[start : start + len(chunk)] = torch.from_numpy(chunk)
            start += len(chunk)
            bar.advance(task, len(chunk))
    return images


def decode_cached(
    files: Sequence[Path],
    shape: Shape,
    name: str,
    cache_dir: str | Path | None,
    digests: Sequence[str],
) -> Tensor:
    """All files as one uint8 tensor (N, C, H, W) on a memory map, decoded when content or shape are new.

    `digests` tell what each file holds, see `data.content`.
    """
    key = digest([digests, vars(shape)])
    path, full = (
        cache_root(cache_dir) / f"{name}-{key}" / "images.npy",
        (len(files), shape.channels, shape.size, shape.size),
    )
    images = open_cached(path, full)
    return write_cached(path, full, decode(files, shape), "Decoding images") if images is None else images
