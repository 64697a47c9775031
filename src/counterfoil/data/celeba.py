"""CelebA and every set in its layout on disk: aligned faces with named binary attributes."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from counterfoil.core.bounds import Count, Side
from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData, Images, Splits
from counterfoil.data.celeba_lists import (
    ATTRIBUTES,
    PARTITION,
    PICTURES,
    Layout,
    find,
    read_attributes,
    read_mapping,
    read_partition,
)
from counterfoil.data.content import file_digests
from counterfoil.data.decode import Shape, decode_cached
from counterfoil.data.folder import hashed_part
from counterfoil.data.listing import image_files
from counterfoil.util.digest import digest

_PARTS = ("train", "val", "test")
_ALIGNED = 178  # the width of CelebA's aligned pictures, and a face of their height

log = logging.getLogger("counterfoil")


class CelebA(ImageData):
    """CelebA as it is published, or any set in one of its layouts.

    The lists list_attr_celeba.txt and list_eval_partition.txt and the pictures img_align_celeba/*.jpg lie in
    `root`, or as in the official archive (Anno/, Eval/, Img/), Kaggle's (lists as .csv, one more folder),
    torchvision's root (celeba/), or CelebAMask-HQ's (CelebAMask-HQ-attribute-anno.txt, CelebA-HQ-img/). The
    last has no splits of its own: CelebA's are taken where list_eval_partition.txt is put beside its lists,
    else a hash of the file's name draws 80 % train, 10 % val, 10 % test.

    Any number of attributes will do, and any of the pictures: those in both lists are taken. Pictures are
    decoded once, on all cores, to a uint8 file that is mapped into memory. identity_CelebA.txt is not read.

    Args:
        root: folder of the lists and of the pictures.
        size: side of the images in pixels.
        crop: side of the square cut from the middle of a picture before it is scaled; None: 178, the width of
            the originals, or all of a picture of CelebAMask-HQ.
        attributes: keep only these, in this order; None: all in the file.
        cache_dir: where decoded images are kept; None: COUNTERFOIL_CACHE, else ~/.cache/counterfoil.
        attribute: which attribute the labels tell, "Smiling" by default.

    Raises:
        UserError: a list or a picture that is missing or damaged, or an attribute that is not in the file.

    Reference: Deep Learning Face Attributes in the Wild (Liu, Luo, Wang, Tang, 2015), arXiv 1411.7766
    """

    name = "celeba"

    def __init__(
        self,
        *,
        root: str | Path | None = None,
        size: Side = 64,
        crop: Count | None = None,
        attributes: list[str] | None = None,
        cache_dir: str | Path | None = None,
        attribute: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(attribute=attribute or "Smiling", **options)
        self._root = root
        self.side = size
        self._crop = crop
        self.chosen = None if attributes is None else tuple(attributes)
        self.cache_dir = cache_dir

    @property
    def root(self) -> Path:
        """The folder, resolved; raises UserError where none was given."""
        if self._root is None:
            raise UserError(
                f"data={self.name} needs data.root=FOLDER, "
                f"the folder of {ATTRIBUTES}, {PARTITION} and {PICTURES}/"
            )
        return Path(self._root).expanduser().resolve()

    @property
    def crop(self) -> int | None:
        """Side of the square that is cut out; None: the shorter side."""
        return self._crop or (_ALIGNED if self._layout.aligned else None)

    @property
    def shape(self) -> Shape:
        """How an image file becomes an image of these data."""
        return Shape(channels=3, size=self.side, crop=self.crop or "centre")

    def options(self) -> dict[str, Any]:
        """What is made of the pictures."""
        return {"size": self.side, "crop": self.crop, "attributes": self.chosen}

    def content(self) -> str:
        """Both lists and the pictures by their name, wherever the folder lies."""
        return digest(list(self._digests.items()), 32)

    def load(self) -> Splits:
        """Read the lists, and decode the pictures or open the cache."""
        layout = self._layout
        names, known, values = read_attributes(layout.attributes)
        rows, counts = _rows(names, layout)
        kept = self._columns(known, layout.attributes.name)
        labels = values[rows, known.index("Smiling") if "Smiling" in known else 0]
        files = [layout.picture(names[i]) for i in rows]
        absent = next((path for path in files if path.name not in self._digests), None)
        if absent:
            raise UserError(f"{absent} is missing; put it there or take it off the list")
        digests = [self._digests[path.name] for path in files]
        images = decode_cached(files, self.shape, self.name, self.cache_dir, digests)
        kept_values = torch.from_numpy(values[np.ix_(rows, kept)])
        whole = Images(images, torch.from_numpy(labels), kept_values, [names[i] for i in rows])
        train, val, test = whole.cut(counts)
        return Splits(
            train, test, ("not Smiling", "Smiling"), val if len(val) else None, tuple(known[i] for i in kept)
        )

    @cached_property
    def _layout(self) -> Layout:
        if not self.root.is_dir():
            raise UserError(f"data.root={self.root} is not a folder")
        return find(self.root)

    @cached_property
    def _digests(self) -> dict[str, str]:
        """What each list and picture holds, by its name."""
        files = [*self._layout.lists, *image_files(self._layout.pictures)]
        found = file_digests(files, self.root, self.cache_dir)
        return dict(zip((path.name for path in files), found, strict=True))

    def _columns(self, known: list[str], where: str) -> list[int]:
        unknown = [name for name in self.chosen or () if name not in known]
        if unknown:
            raise UserError(f"data.attributes names {', '.join(unknown)}; {where} has {', '.join(known)}")
        return [known.index(name) for name in (self.chosen or known)]


def _rows(names: list[str], layout: Layout) -> tuple[list[int], list[int]]:
    """Rows in order of the splits, each one stretch of the memory map, and the sizes of the splits."""
    part_of = _parts(names, layout)
    rows = sorted((part_of[name], i) for i, name in enumerate(names) if name in part_of)
    counts = np.bincount([part for part, _ in rows], minlength=len(_PARTS)).tolist()
    for number, part in enumerate(_PARTS):
        if counts[number] == 0 and part != "val":
            raise UserError(
                f"{layout.partition or layout.attributes} puts no picture of {layout.attributes.name} into "
                f"{part} ({number})"
            )
    if aside := len(names) + len(part_of) - 2 * len(rows):
        log.info(
            f"{layout.attributes}: {len(rows)} pictures; left aside, as they are in one list alone: {aside}"
        )
    return [i for _, i in rows], counts


def _parts(names: list[str], layout: Layout) -> dict[str, int]:
    """The number of each picture's split, by its name."""
    if layout.partition is None:
        return {name: _PARTS.index(hashed_part(name)) for name in names}
    part_of = read_partition(layout.partition)
    if layout.mapping is None:
        return part_of
    originals = read_mapping(layout.mapping)
    return {name: part_of[originals[name]] for name in names if originals.get(name) in part_of}
