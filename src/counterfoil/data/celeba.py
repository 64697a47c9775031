"""CelebA and every set in its layout on disk: aligned faces with named binary attributes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData, Images, Splits
from counterfoil.data.content import file_digests
from counterfoil.data.decode import Shape, decode_cached, image_files
from counterfoil.util.digest import digest

_ATTRIBUTES, _PARTITION, _PICTURES = "list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba"
_PARTS = ("train", "val", "test")


class CelebA(ImageData):
    """The published layout: img_align_celeba/*.jpg, list_attr_celeba.txt and list_eval_partition.txt.

    Any number of attributes will do, and any of the pictures: those in both lists are taken. Pictures are
    decoded once, on all cores, to a uint8 file that is mapped into memory. identity_CelebA.txt is not read.

    Args:
        root: folder of the lists and of img_align_celeba.
        size: side of the images in pixels.
        crop: side of the square cut from the middle of a picture before it is scaled; 178 is the width of the
            originals.
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
        size: int = 64,
        crop: int = 178,
        attributes: list[str] | None = None,
        cache_dir: str | Path | None = None,
        attribute: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(attribute=attribute or "Smiling", **options)
        if size < 1 or crop < 1:
            raise UserError(f"data.size={size} data.crop={crop}: expected at least 1 pixel each")
        self._root = root
        self.side = size
        self.crop = crop
        self.chosen = None if attributes is None else tuple(attributes)
        self.cache_dir = cache_dir

    @property
    def root(self) -> Path:
        """The folder, resolved; raises UserError where none was given."""
        if self._root is None:
            raise UserError(
                f"data={self.name} needs data.root=FOLDER, "
                f"the folder of {_ATTRIBUTES}, {_PARTITION} and {_PICTURES}/"
            )
        return Path(self._root).expanduser().resolve()

    def options(self) -> dict[str, Any]:
        """What is made of the pictures."""
        return {"size": self.side, "crop": self.crop, "attributes": self.chosen}

    def content(self) -> str:
        """Both lists and the pictures by their name, wherever the folder lies."""
        return digest(list(self._digests.items()), 32)

    def load(self) -> Splits:
        """Read the lists, and decode the pictures or open the cache."""
        self._check_folder()
        names, known, values = _read_attributes(self.root / _ATTRIBUTES)
        rows, counts = self._rows(names)
        kept = self._columns(known)
        labels = values[rows, known.index("Smiling") if "Smiling" in known else 0]
        files = [self.root / _PICTURES / names[i] for i in rows]
        absent = next((path for path in files if path.name not in self._digests), None)
        if absent:
            raise UserError(f"{absent} is missing; put it there or take it off the list")
        shape = Shape(channels=3, size=self.side, crop=self.crop)
        digests = [self._digests[path.name] for path in files]
        images = decode_cached(files, shape, self.name, self.cache_dir, digests)
        kept_values = torch.from_numpy(values[np.ix_(rows, kept)])
        whole = Images(images, torch.from_numpy(labels), kept_values, [names[i] for i in rows])
        train, val, test = whole.cut(counts)
        return Splits(
            train, test, ("not Smiling", "Smiling"), val if len(val) else None, tuple(known[i] for i in kept)
        )

    @cached_property
    def _digests(self) -> dict[str, str]:
        """What each list and picture holds, by its name."""
        self._check_folder()
        files = [self.root / _ATTRIBUTES, self.root / _PARTITION, *image_files(self.root / _PICTURES)]
        found = file_digests(files, self.root, self.cache_dir)
        return dict(zip((path.name for path in files), found, strict=True))

    def _rows(self, names: list[str]) -> tuple[list[int], list[int]]:
        """Rows in order of the splits, each one stretch of the memory map, and the sizes of the splits."""
        part_of = _read_partition(self.root / _PARTITION)
        rows = sorted((part_of[name], i) for i, name in enumerate(names) if name in part_of)
        counts = np.bincount([part for part, _ in rows], minlength=len(_PARTS)).tolist()
        for number, part in enumerate(_PARTS):
            if counts[number] == 0 and part != "val":
                raise UserError(
                    f"{self.root / _PARTITION} puts no picture of {_ATTRIBUTES} into {part} ({number})"
                )
        return [i for _, i in rows], counts

    def _check_folder(self) -> None:
        if not self.root.is_dir():
            raise UserError(f"data.root={self.root} is not a folder")
        missing = [name for name in (_ATTRIBUTES, _PARTITION, _PICTURES) if not (self.root / name).exists()]
        if missing:
            raise UserError(
                f"data.root={self.root} lacks {', '.join(missing)}; "
                f"expected CelebA's layout (list files and {_PICTURES}/)"
            )

    def _columns(self, known: list[str]) -> list[int]:
        unknown = [name for name in self.chosen or () if name not in known]
        if unknown:
            raise UserError(
                f"data.attributes names {', '.join(unknown)}; {_ATTRIBUTES} has {', '.join(known)}"
            )
        return [known.index(name) for name in (self.chosen or known)]


def _read_attributes(path: Path) -> tuple[list[str], list[str], NDArray[np.uint8]]:
    """File names, attribute names and values (N, A) in {0, 1}.

    The file holds a count, a line of names, then one line of -1 and 1 per picture.
    """
    lines = path.read_text().splitlines()
    if len(lines) < 3 or not lines[0].strip().isdigit():
        raise UserError(
            f"{path} is no list of attributes: "
            "expected a line with the number of pictures, a line of names, then the pictures"
        )
    count, attributes, rows = (
        int(lines[0]),
        lines[1].split(),
        [line.split() for line in lines[2:] if line.strip()],
    )
    if len(rows) != count:
        raise UserError(f"{path} is truncated: its first line says {count} pictures, found {len(rows)}")
    for row in rows:
        if len(row) != 1 + len(attributes) or not set(row[1:]) <= {"-1", "1", "0"}:
            raise UserError(
                f"{path}: the line of {row[0]} has {len(row) - 1} values; "
                f"expected {len(attributes)}, each -1 or 1"
            )
    values = np.array([[value == "1" for value in row[1:]] for row in rows], dtype=np.uint8)
    return [row[0] for row in rows], attributes, values


def _read_partition(path: Path) -> dict[str, int]:
    """Split number (0 train, 1 val, 2 test) by file name."""
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    for row in rows:
        if len(row) != 2 or row[1] not in ("0", "1", "2"):
            raise UserError(
                f"{path}: found the line {' '.join(row)!r}, "
                "expected a file name and 0 (train), 1 (val) or 2 (test)"
            )
    return {name: int(part) for name, part in rows}
