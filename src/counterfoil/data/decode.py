"""Image files to uint8 arrays of one size, on all cores."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterfoil.core.errors import UserError, first_line
from counterfoil.data.cache import cache_root, open_cached, progress, write_cached
from counterfoil.data.pixels import flat
from counterfoil.util.cores import cores
from counterfoil.util.digest import digest

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 89_478_485
"""Of one picture: Pillow's own bound, 256 MiB in colour."""

_FORMATS = [
    "PNG",
    "JPEG",
    "MPO",
    "GIF",
    "BMP",
    "DIB",
    "TIFF",
    "WEBP",
    "PPM",
    "JPEG2000",
    "AVIF",
    "TGA",
    "PCX",
    "ICO",
    "SGI",
]
"""Formats are known by content, not by suffix: none of these has another program run, as EPS has."""
_CHUNK, _CHUNK_BYTES = 256, 1 << 26
_RULES = 1  # of what a file becomes; another number has caches decoded anew


@dataclass(frozen=True)
class Shape:
    """What every picture becomes: `channels` (1 grey, 3 colour), a square, then `size` x `size` pixels.

    Args:
        channels: 1 or 3.
        size: in pixels.
        crop: how it becomes a square. "centre": the middle one, whose side is the picture's shorter side; a
            number: the same, with this side where the picture is larger; "pad": all of it on the background;
            "stretch": both sides are scaled to `size`.
        background: the colour below transparent pixels and beside padded ones.
        white: the value of white above 8 bits; None: 65535 for 16 bits, 1 for floats.
    """

    channels: int
    size: int
    crop: int | str = "centre"
    background: str = "white"
    white: float | None = None

    def of(self, picture: Image) -> NDArray[np.uint8]:
        """uint8 (C, size, size); raises ValueError where the meaning of the pixels is not known."""
        picture = self._square(flat(picture, self.channels, self.background, self.white))
        pixels = np.asarray(picture, dtype=np.uint8)
        return pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1)

    def read(self, path: Path) -> NDArray[np.uint8]:
        """uint8 (C, size, size) of a file; raises UserError where it cannot be read or understood."""
        picture = open_image(path)
        try:
            return self.of(picture)
        except (ValueError, OSError) as error:
            raise UserError(f"{path} {error}") from error

    def _square(self, picture: Image) -> Image:
        from PIL.Image import new

        if self.crop == "stretch":
            return _resized(picture, (self.size, self.size))
        if self.crop == "pad":
            longer = max(picture.size)
            width, height = (max(1, round(extent * self.size / longer)) for extent in picture.size)
            scaled = _resized(picture, (width, height))
            if width == height:
                return scaled
            square = new(picture.mode, (self.size, self.size), self.background)
            square.paste(scaled, ((self.size - width) // 2, (self.size - height) // 2))
            return square
        side = min(*picture.size, self.crop) if isinstance(self.crop, int) else min(picture.size)
        left, top = ((extent - side) // 2 for extent in picture.size)
        if picture.size != (side, side):
            picture = picture.crop((left, top, left + side, top + side))
        return _resized(picture, (self.size, self.size))


@contextmanager
def opening(path: Path) -> Iterator[Image]:
    """A picture of which only the header is read yet.

    Raises:
        UserError: a file that is missing, no picture, damaged, or larger than MAX_PIXELS, also while it is
            read in the context.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=_formats()) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{width} x {height} pixels")
            if not width * height:
                raise ValueError("it has no pixels")
            yield picture
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; put it there or take it off the list") from error
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{path} is too large ({error}), expected at most {MAX_PIXELS:,} pixels; "
            "scale it down or remove it"
        ) from error
    except UserError:
        raise
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes them
        raise UserError(
            f"{path} cannot be read as an image ({first_line(error)}); replace or remove it"
        ) from error


def open_image(path: Path) -> Image:
    """Read the first frame of a picture whole and turn it upright.

    A UserError names a file that is missing, no picture, truncated or larger than MAX_PIXELS.
    """
    from PIL import ImageOps

    with opening(path) as picture:
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
    return picture


def decode(files: Sequence[Path], shape: Shape) -> Iterator[NDArray[np.uint8]]:
    """Chunks uint8 (n, C, H, W) in the order of the files, decoded by threads.

    Threads suffice: reading and scaling pictures frees Python's lock.
    """
    step = max(1, min(_CHUNK, _CHUNK_BYTES // (shape.channels * shape.size**2)))
    pool = ThreadPoolExecutor(cores())
    try:
        for start in range(0, len(files), step):
            yield np.stack(list(pool.map(shape.read, files[start : start + step])))
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

    Raises:
        UserError: an unreadable file, or no room for the images.
    """
    path = cached_folder(digests, vars(shape), name, cache_dir) / "images.npy"
    full = (len(files), shape.channels, shape.size, shape.size)
    images = open_cached(path, full)
    if images is not None:
        return images
    _check_room(path.parent, full)
    return write_cached(path, full, decode(files, shape), "Decoding images")


def cached_folder(digests: Sequence[str], made: object, name: str, cache_dir: str | Path | None) -> Path:
    """Where what is made of files of this content is kept."""
    return cache_root(cache_dir) / f"{name}-{digest([digests, made, _RULES], 12)}"


def _check_room(folder: Path, full: tuple[int, ...]) -> None:
    needed = int(np.prod(full, dtype=object))
    there = next((parent for parent in folder.parents if parent.is_dir()), Path("/"))
    free = shutil.disk_usage(there).free
    if needed > free:
        count, channels, size, _ = full
        raise UserError(
            f"{folder} has no room for {count} images of {channels} x {size} x {size}: {needed / 1e9:.1f} GB "
            f"needed, {free / 1e9:.1f} GB free; lower data.size, or name another folder by "
            "data.cache_dir=FOLDER or COUNTERFOIL_CACHE"
        )


def _resized(picture: Image, size: tuple[int, int]) -> Image:
    from PIL.Image import Resampling

    return picture if picture.size == size else picture.resize(size, Resampling.LANCZOS)


@cache
def _formats() -> tuple[str, ...]:
    """Those of `_FORMATS` that this Pillow has; its warning of large pictures, which are refused, is off."""
    from PIL import Image

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)
