"""Image files of any kind, size and mode, read by one rule into images of one shape."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median_low
from typing import Any, NamedTuple

import torch
from torch import Tensor

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.data.decode import Shape, cached_folder, decode_cached, decode_in_memory, opening
from counterfoil.data.pixels import channels_of, check_colour, has_transparency, is_deep
from counterfoil.util.cores import cores
from counterfoil.util.record import read_json, write_json

CROPS = {
    "centre": "cut to their middle squares",
    "pad": "padded to squares",
    "stretch": "stretched to squares",
}
_CACHE_FROM_FILES, _CACHE_FROM_BYTES = 10_000, 1 << 28
_LOOKED_AT, _DARK = 1000, 64

log = logging.getLogger("counterfoil")


@dataclass(frozen=True)
class Rule:
    """How files become images of one shape; what is None is told by all files together.

    Args:
        channels: 1 or 3; None: 3 where any file can hold colour, else 1.
        size: side of the images in pixels; None: the median of the files' shorter sides.
        crop: how a picture becomes a square: "centre", "pad" or "stretch", as in `Shape`.
        background: colour below transparent and beside padded pixels.
        white: the value of white above 8 bits; None: 65535 for 16 bits, 1 for floats.

    Raises:
        UserError: another crop, no colour, or a white that is not above 0.
    """

    channels: int | None = None
    size: int | None = None
    crop: str = "centre"
    background: str = "white"
    white: float | None = None

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise UserError(f"data.crop={self.crop} is not supported; choose one of: {', '.join(CROPS)}")
        check_colour(self.background)
        number = isinstance(self.white, int | float) and not isinstance(self.white, bool)
        if self.white is not None and not (number and 0 < self.white < math.inf):
            raise UserError(
                f"data.white={self.white}: expected the value of white in images above 8 bits, such as 4095, "
                "or null"
            )

    @property
    def changed(self) -> dict[str, Any]:
        """Options beside size and channels that are not at their defaults."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("channels", "size") and getattr(self, field.name) != field.default
        }

    def shape(self, channels: int, size: int) -> Shape:
        """The same for known channels and size."""
        return Shape(channels, size, self.crop, self.background, self.white)


class Header(NamedTuple):
    """What a file says of its picture before any pixel is read."""

    width: int
    height: int
    channels: int
    deep: bool
    frames: bool
    transparent: bool


@dataclass(frozen=True)
class Survey:
    """What all files together are: counts, sizes (width, height), and which rows are above 8 bits."""

    total: int
    side: int
    smallest: tuple[int, int]
    largest: tuple[int, int]
    colour: int
    frames: int
    transparent: int
    deep: tuple[int, ...]

    @property
    def channels(self) -> int:
        """3 where any file can hold colour, else 1."""
        return 3 if self.colour else 1

    def notes(self, shape: Shape) -> list[str]:
        """One line for each way in which files are not all alike, and what becomes of them."""
        lines = []
        if tuple(self.smallest) != tuple(self.largest):
            (w, h), (W, H) = self.smallest, self.largest
            done = CROPS.get(str(shape.crop), CROPS["centre"])
            lines.append(
                f"images of {w} x {h} to {W} x {H} pixels are {done} and scaled to "
                f"{shape.size} x {shape.size} (data.crop={shape.crop}, data.size)"
            )
        if 0 < self.colour < self.total:
            lines.append(
                f"{self.colour} of {self.total} images are in colour, the others grey: all are read as "
                f"{'grey' if shape.channels == 1 else 'colour'} (data.channels={shape.channels})"
            )
        if self.transparent:
            lines.append(
                f"{self.transparent} of {self.total} images have transparency: composed on "
                f"{shape.background} (data.background)"
            )
        if self.frames:
            lines.append(f"{self.frames} of {self.total} files hold several frames: the first is read")
        return lines


def survey(files: Sequence[Path]) -> Survey:
    """Read the headers of all files; raises UserError for one that is no picture."""
    with ThreadPoolExecutor(cores()) as pool:
        headers = list(pool.map(_header, files))
    by_area = sorted(
        {(each.width, each.height) for each in headers}, key=lambda size: (math.prod(size), size)
    )
    deep = [i for i, each in enumerate(headers) if each.deep]
    return Survey(
        len(headers),
        median_low(min(each.width, each.height) for each in headers),
        by_area[0],
        by_area[-1],
        sum(each.channels == 3 for each in headers),
        sum(each.frames for each in headers),
        sum(each.transparent for each in headers),
        tuple(deep[:: math.ceil(len(deep) / _LOOKED_AT) or 1]),
    )


def read_files(
    files: Sequence[Path], rule: Rule, name: str, cache_dir: str | Path | None, digests: Sequence[str]
) -> Tensor:
    """All files as one uint8 tensor (N, C, H, W), by way of the cache where they are many.

    `digests` tell what each file holds, see `data.content`.

    What is not alike in the files is noted with what becomes of it; images above 8 bits that come out nearly
    black are warned of.

    Raises:
        UserError: a file that cannot be read or whose pixels are not understood.
    """
    many = len(files) >= _CACHE_FROM_FILES
    seen = _surveyed(files, name, cache_dir, digests) if many else survey(files)
    shape = rule.shape(rule.channels or seen.channels, rule.size or seen.side)
    for line in seen.notes(shape):
        log.info(f"data={name}: {line}")
    large = many or len(files) * shape.channels * shape.size**2 >= _CACHE_FROM_BYTES
    images = (
        decode_cached(files, shape, name, cache_dir, digests) if large else decode_in_memory(files, shape)
    )
    warn_of_dark(images, seen, f"data={name}")
    return images


def warn_of_dark(images: Tensor, seen: Survey, where: str) -> None:
    """Warn where images of more than 8 bits come out nearly black, as their white is not that of their mode.

    Args:
        images: uint8 (N, C, H, W).
        seen: of their files.
        where: what holds them, for the message.
    """
    if seen.deep and (brightest := int(images[torch.tensor(seen.deep)].max())) < _DARK:
        warnings.warn(
            f"{where}: images above 8 bits come out nearly black, their brightest pixel is {brightest} "
            "of 255; name the value of white, e.g. data.white=4095 for 12 bits",
            CounterfoilWarning,
            stacklevel=3,
        )


def _header(path: Path) -> Header:
    with opening(path) as picture:
        return Header(
            *picture.size,
            channels_of(picture.mode),
            is_deep(picture.mode),
            bool(getattr(picture, "is_animated", False)),
            has_transparency(picture),
        )


def _surveyed(
    files: Sequence[Path], name: str, cache_dir: str | Path | None, digests: Sequence[str]
) -> Survey:
    """The survey kept from the last time that these files were read, else a new one."""
    path = cached_folder(digests, "survey", name, cache_dir) / "survey.json"
    try:
        return Survey(**read_json(path, "the survey of images"))
    except (UserError, TypeError):  # missing, damaged or of another version: made anew
        seen = survey(files)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(seen))
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error}); "
            "name another folder by data.cache_dir=FOLDER or COUNTERFOIL_CACHE"
        ) from error
    return seen
