"""The user's own images: one sub-folder per class, or a CSV of paths and labels."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch

from counterfoil.core.bounds import Count, Positive, Side
from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData, Images, Splits
from counterfoil.data.content import file_digests
from counterfoil.data.decode import Shape
from counterfoil.data.files import file_names
from counterfoil.data.listing import counted, image_names, sub_folders
from counterfoil.data.reading import Rule, read_files
from counterfoil.data.rows import NUMBER, PARTS, Row, csv_rows
from counterfoil.util.digest import digest
from counterfoil.util.memory import uncollected

_ORDER = ("train", "val", "test")

log = logging.getLogger("counterfoil")


class Folder(ImageData):
    """Images in a folder, any size, 1 or 3 channels.

    Layouts: `root/<class>/*.png`; `root/<train|val|test>/<class>/*.png`; or a CSV with the columns path,
    label, perhaps split (train, val, test), and one column of 0/1 for each attribute, its paths relative to
    `root` and its order kept. Without splits, each image goes where a hash of its path below `root` sends it:
    80 % train, 10 % val, 10 % test, whatever other images there are. Every image becomes a square by `crop`
    and is scaled to `size`. What is no image, hidden or in deeper folders is left aside and counted. Images
    are called by their paths below `root`.

    Args:
        root: the folder; None: the folder of the CSV.
        csv: the table of paths and labels; None: the sub-folders are the classes.
        size: side of the images in pixels; None: the median of the images' shorter sides.
        channels: 1 or 3; None: 3 where any image can hold colour, else 1.
        crop: "centre" cuts out the middle square, "pad" adds background, "stretch" scales both sides.
        background: the colour below transparent and beside padded pixels.
        white: the value of white in images above 8 bits; None: 65535 for 16 bits, 1 for floats.
        cache_dir: where a large set's decoded images are kept; None: COUNTERFOIL_CACHE, else
            ~/.cache/counterfoil.

    Raises:
        UserError: nothing to read, fewer than two classes, an image that is unreadable, too large or whose
            white is not known, a row of the CSV without a label, a split without images.
    """

    name = "folder"

    def __init__(
        self,
        *,
        root: str | Path | None = None,
        csv: str | Path | None = None,
        size: Side | None = None,
        channels: Count | None = None,
        crop: str = "centre",
        background: str = "white",
        white: Positive | None = None,
        cache_dir: str | Path | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_channels(channels)
        self.rule = Rule(channels, size, crop, background, white)
        self._root = root
        self.csv = None if csv is None else Path(csv).expanduser().resolve()
        self._shape = (channels, size)
        self.cache_dir = cache_dir

    @property
    def root(self) -> Path:
        """The folder, resolved; raises UserError where neither it nor a CSV was given."""
        if self._root is None and self.csv is None:
            raise UserError(
                f"data={self.name} needs data.root=FOLDER with one sub-folder per class, or data.csv=FILE"
            )
        if self._root is not None:
            return Path(self._root).expanduser().resolve()
        return self.csv.parent  # type: ignore[union-attr]

    def options(self) -> dict[str, Any]:
        """What is made of the images."""
        return {"shape": self._shape, **self.rule.changed}

    def content(self) -> str:
        """Names, labels, splits, attributes and content of the files, wherever the folder lies."""
        with uncollected():
            rows, attribute_names = self._table
            told = [
                (name, *row[1:], found)
                for name, row, found in zip(_below(self.root, rows), rows, self._digests, strict=True)
            ]
            return digest([attribute_names, told], 32)

    @property
    def shape(self) -> Shape:
        """How an image file becomes an image of these data."""
        return self.rule.shape(self.channels, self.size)

    def load(self) -> Splits:
        """Decode the images, or open the cache."""
        rows, attribute_names = self._table
        classes = _class_names(rows, self.csv or self.root)
        files = [Path(row.path) for row in rows]
        images = read_files(files, self.rule, self.name, self.cache_dir, self._digests)
        labels = torch.tensor([classes.index(row.label) for row in rows])
        attributes = (
            torch.tensor([row.attributes for row in rows], dtype=torch.uint8) if attribute_names else None
        )
        whole = Images(images, labels, attributes, file_names(files, self.root))
        train, val, test = whole.cut([sum(row.part == part for row in rows) for part in _ORDER])
        return Splits(train, test, classes, val if len(val) else None, attribute_names)

    @cached_property
    def _digests(self) -> list[str]:
        """What each file of the table holds."""
        return file_digests([row.path for row in self._table[0]], self.root, self.cache_dir)

    @cached_property
    def _table(self) -> tuple[list[Row], tuple[str, ...]]:
        """Rows in order of split and path, those of a CSV in its own, and the names of the attributes.

        Each split is one stretch.
        """
        if not self.root.is_dir():
            raise UserError(f"data.root={self.root} is not a folder")
        with uncollected():
            return self._rows()

    def _rows(self) -> tuple[list[Row], tuple[str, ...]]:
        skipped: Counter[str] = Counter()
        rows, attribute_names = (
            csv_rows(self.csv, self.root, self._requested)
            if self.csv
            else (list(_folder_rows(self.root, skipped)), ())
        )
        found = counted(skipped)
        if not rows:
            raise UserError(
                f"{self.csv or self.root} holds no images; "
                f"expected one sub-folder of image files per class{found and f', found {found}'}"
            )
        if found:
            log.info(f"data={self.name}: {len(rows)} images; left aside below {self.root}: {found}")
        if any(row.part is None for row in rows):
            rows = [
                Row(row.path, row.label, hashed_part(name), row.attributes)
                for name, row in zip(_below(self.root, rows), rows, strict=True)
            ]
        filled = {row.part for row in rows}
        for part in ("train", "test"):
            if part not in filled:
                raise UserError(
                    f"{self.csv or self.root}: none of its {len(rows)} images is in the {part} split; "
                    "give train and test splits"
                )
        if not self.csv:
            rows.sort(key=attrgetter("path"))
        rows.sort(key=lambda row: _ORDER.index(row.part or ""))
        return rows, attribute_names

    @property
    def _requested(self) -> list[str]:
        """Columns of the CSV that the labels tell of, which must be attributes."""
        return [self.attribute, *self.attribute.split("+")] if self.attribute else []


def check_channels(channels: int | None) -> None:
    """Refuse a number of channels that no image has."""
    if channels not in (None, 1, 3):
        raise UserError(
            f"data.channels={channels}: expected 1, 3 or null (3 where any image can hold colour)"
        )


def _folder_rows(root: Path, skipped: Counter[str]) -> Iterator[Row]:
    pairs: list[tuple[Path, str | None]]
    folders = sub_folders(root, skipped)
    parts = {folder: PARTS.get(folder.name.lower()) for folder in folders}
    if "train" in parts.values():
        skipped["folders beside train"] += sum(part is None for part in parts.values())
        pairs = [
            (label, part) for folder, part in parts.items() if part for label in sub_folders(folder, skipped)
        ]
    else:
        pairs = [(label, None) for label in folders]
    for label, part in pairs:
        names = image_names(label, skipped)
        skipped["folders without images"] += not names
        start, text = f"{label}{os.sep}", label.name
        yield from (Row(start + name, text, part) for name in names)


def _class_names(rows: list[Row], where: Path) -> tuple[str, ...]:
    """Names in order, numbers by value and before words; every class must have a training image."""
    names = {row.label for row in rows}
    if len(names) < 2:
        raise UserError(f"{where} has the one class {names.pop()!r}; expected at least two")
    absent = sorted(names - {row.label for row in rows if row.part == "train"})
    if absent:
        raise UserError(
            f"{where}: no training image of the class {', '.join(absent)}; add images or give splits"
        )
    order = sorted(names, key=lambda name: (0, float(name), name) if NUMBER.fullmatch(name) else (1, 0, name))
    for one, other in pairwise(filter(NUMBER.fullmatch, order)):
        if float(one) == float(other) and not (one.isdecimal() and other.isdecimal()):
            raise UserError(f"{where}: the labels {one!r} and {other!r} are one number; write both alike")
    if order != sorted(names):
        log.info(
            f"{where}: numbers are classes in order of their value, {', '.join(order[:12])}; for a network "
            "trained with torchvision's ImageFolder, which sorts them as text, give classifier.class_names"
        )
    return tuple(order)


def hashed_part(name: str) -> str:
    """The split that a name draws: 80 % train, 10 % val, 10 % test, whatever other names there are."""
    drawn = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
    tenth = int.from_bytes(drawn[:4], "big") % 10
    return "test" if tenth == 9 else "val" if tenth == 8 else "train"


def _below(root: Path, rows: Sequence[Row]) -> list[str]:
    """The path of each row from a folder on; of a file elsewhere its name."""
    start = f"{root}{os.sep}"
    return [
        path[len(start) :].replace(os.sep, "/") if path.startswith(start) else Path(path).name
        for path in map(attrgetter("path"), rows)
    ]
