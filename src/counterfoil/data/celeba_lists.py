"""The published layouts of CelebA, and its lists of attributes and splits."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterfoil.core.errors import UserError

ATTRIBUTES, PARTITION, PICTURES = "list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba"
_HQ_ATTRIBUTES, _HQ_MAPPING = "CelebAMask-HQ-attribute-anno.txt", "CelebA-HQ-to-CelebA-mapping.txt"
_BELOW = ("", "celeba", "CelebA", "celeba-dataset", "CelebAMask-HQ")
_LISTS, _IMAGES = ("", "Anno", "Eval"), ("", "Img")
_PICTURES = (f"{PICTURES}/{PICTURES}", PICTURES, f"{PICTURES}_png", f"{PICTURES}.png", "CelebA-HQ-img")


@dataclass(frozen=True)
class Layout:
    """Where a set in one of CelebA's published layouts has its parts.

    Args:
        attributes: list of attributes, .txt, .csv or CelebAMask-HQ's.
        partition: list of splits; None: there is none, as in CelebAMask-HQ.
        pictures: folder of the pictures.
        mapping: CelebAMask-HQ's list of the numbers its pictures have in CelebA; None: there is none.
    """

    attributes: Path
    partition: Path | None
    pictures: Path
    mapping: Path | None = None

    @property
    def aligned(self) -> bool:
        """Whether the pictures are CelebA's own of 178 x 218 pixels, not CelebAMask-HQ's faces."""
        return self.attributes.name != _HQ_ATTRIBUTES

    @property
    def lists(self) -> list[Path]:
        """The lists that there are."""
        return [path for path in (self.attributes, self.partition, self.mapping) if path]

    def picture(self, name: str) -> Path:
        """The file of a listed picture: the lists say .jpg also where the pictures are .png."""
        return self.pictures / (Path(name).with_suffix(".png") if "png" in self.pictures.name else name)


def find(root: Path) -> Layout:
    """Where the parts lie: in `root` as listed, in the official archive (Anno, Eval, Img), in Kaggle's (lists
    as .csv, pictures one folder deeper), in torchvision's root (celeba/), or in CelebAMask-HQ's.

    Raises:
        UserError: which parts are missing.
    """
    folders = [root / name for name in _BELOW]
    attributes = _first(folders, _LISTS, (ATTRIBUTES, _csv(ATTRIBUTES), _HQ_ATTRIBUTES))
    high = attributes is not None and attributes.name == _HQ_ATTRIBUTES
    partition = _first(folders, _LISTS, (PARTITION, _csv(PARTITION)))
    pictures = _first(folders, _IMAGES, _PICTURES[-1:] if high else _PICTURES[:-1])
    parts = {
        ATTRIBUTES: attributes,
        PARTITION: partition or high,
        _PICTURES[-1] if high else PICTURES: pictures,
    }
    missing = [name for name, found in parts.items() if not found]
    if attributes is None or pictures is None or missing:
        packed = _first(folders, _IMAGES, (f"{PICTURES}.zip", f"{PICTURES}.7z"))
        raise UserError(
            f"data.root={root} lacks {', '.join(missing)}; "
            + (f"unpack {packed}" if packed else f"expected CelebA's layout (list files and {PICTURES}/)")
        )
    return Layout(attributes, partition, pictures, _first(folders, _LISTS, (_HQ_MAPPING,)) if high else None)


def read_attributes(path: Path) -> tuple[list[str], list[str], NDArray[np.uint8]]:
    """File names, attribute names and values (N, A) in {0, 1}.

    A .txt holds a count, a line of names, then one line of -1 and 1 per picture; a .csv a header, then rows.

    Raises:
        UserError: no such list, or a damaged one.
    """
    if path.suffix == ".csv":
        (_, *attributes), rows = _csv_rows(path)
    else:
        lines = _lines(path)
        if len(lines) < 3 or not lines[0].strip().isdecimal():
            raise UserError(
                f"{path} is no list of attributes: "
                "expected a line with the number of pictures, a line of names, then the pictures"
            )
        attributes, rows = lines[1].split(), [line.split() for line in lines[2:] if line.strip()]
        if len(rows) != int(lines[0]):
            raise UserError(
                f"{path} is truncated: its first line says {lines[0].strip()} pictures, found {len(rows)}"
            )
    for row in rows:
        if len(row) != 1 + len(attributes) or not set(row[1:]) <= {"-1", "1", "0"}:
            raise UserError(
                f"{path}: the line of {row[0]} has {len(row) - 1} values; "
                f"expected {len(attributes)}, each -1 or 1"
            )
    if not rows or not attributes:
        raise UserError(f"{path} lists {len(rows)} pictures with {len(attributes)} attributes; get it again")
    names = [row[0] for row in rows]
    _check_names(names, path)
    return names, attributes, np.array([[value == "1" for value in row[1:]] for row in rows], dtype=np.uint8)


def read_partition(path: Path) -> dict[str, int]:
    """Split number (0 train, 1 val, 2 test) by file name; raises UserError where the list is damaged."""
    rows = _csv_rows(path)[1] if path.suffix == ".csv" else [line.split() for line in _lines(path)]
    for row in rows:
        if row and (len(row) != 2 or row[1] not in ("0", "1", "2")):
            raise UserError(
                f"{path}: found the line {' '.join(row)!r}, "
                "expected a file name and 0 (train), 1 (val) or 2 (test)"
            )
    _check_names([row[0] for row in rows if row], path)
    return {row[0]: int(row[1]) for row in rows if row}


def read_mapping(path: Path) -> dict[str, str]:
    """CelebA's file name (000001.jpg) by CelebAMask-HQ's (0.jpg); raises UserError for a damaged list."""
    rows = [line.split() for line in _lines(path)[1:] if line.strip()]
    if not rows or any(len(row) != 3 for row in rows):
        raise UserError(f"{path} is no list of idx, orig_idx and orig_file; get it again")
    return {f"{row[0]}.jpg": row[2] for row in rows}


def _check_names(names: list[str], path: Path) -> None:
    """Refuse a picture that a list has twice, or outside of the folder of pictures."""
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise UserError(f"{path} lists {twice} twice; get it again")
    outside = next((name for name in names if Path(name).name != name), None)
    if outside:
        raise UserError(f"{path} lists {outside}, which is no name of a file; get it again")


def _first(folders: list[Path], below: tuple[str, ...], names: tuple[str, ...]) -> Path | None:
    """The first that exists; an earlier name goes before an earlier folder."""
    places = (folder / middle / name for name in names for folder in folders for middle in below)
    return next((path for path in places if path.exists()), None)


def _csv(name: str) -> str:
    return str(Path(name).with_suffix(".csv"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text ({error}); get it again") from error


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines()


def _csv_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a CSV, cells without spaces around them."""
    try:
        cells = [[cell.strip() for cell in row] for row in csv.reader(_lines(path)) if row]
    except csv.Error as error:
        raise UserError(f"{path} is no CSV ({error}); get it again") from error
    if not cells:
        raise UserError(f"{path} is empty; get it again")
    return cells[0], cells[1:]
