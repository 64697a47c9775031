"""The questions of a person: a CSV of images and targets, a folder of image files, or one of them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.target import FORMS, class_index, resolve_targets, whole_number
from counterfoil.data.base import ImageData
from counterfoil.data.decode import Shape, decode_in_memory
from counterfoil.data.files import file_names, find_file
from counterfoil.data.listing import SUFFIXES, image_files
from counterfoil.data.queries import QuerySet, check_labels, classes_of, differs, logits_of, note_wrong
from counterfoil.data.reading import survey, warn_of_dark
from counterfoil.util.csv_table import Line, note_ignored, read_csv

FORM = "path[,target] or index[,target]"
"""The columns of a CSV of questions."""
_IMAGE = ("path", "image", "index")

log = logging.getLogger("counterfoil")


class Requested(NamedTuple):
    """One question: a row of the test split or a file, what it is called, and a class or one of `FORMS`."""

    image: int | Path
    name: int | str
    target: int | str


def read_queries(
    path: Path, data: ImageData, classifier: nn.Module, target: str, only_correct: bool = False
) -> QuerySet:
    """The questions that a file or folder asks.

    A CSV names images of the test split by their name (`path`) or place (`index`), or other files by their
    path, relative to the CSV or to the data's folder; its column `target` names a class, or one of `FORMS`.
    Where it has none, and for image files, the target is the option's. Image files of any size become what
    the training images are. A question that stands twice is taken once.

    Args:
        path: the CSV, image or folder.
        data: the data of the classifier.
        classifier: read where a target depends on its decision.
        target: one of `FORMS`, or a class.
        only_correct: leave out images that the classifier gets wrong; a line says how many.

    Raises:
        UserError: a file that cannot be read, an image or a target that is not known, or no question left.
    """
    where, names = f"queries={path}", classes_of(classifier, data)
    wanted = _wanted(target, names, "target")
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        files = image_files(path) if path.is_dir() else [path]
        if not files:
            raise UserError(f"{where} holds no image files; expected some, or a CSV with columns {FORM}")
        requested = [Requested(file, file_names([file], file.parent)[0], wanted) for file in files]
    else:
        requested = _table(path, where, data, names, wanted)
    found = _query_set(requested, data, classifier, names)
    return _correct(found, requested, data, classifier, where) if only_correct else found


def _wanted(text: str, names: Sequence[str], where: str) -> int | str:
    if text not in names and text in FORMS:
        return text
    return class_index(text, names, len(names), where)


def _table(
    path: Path, where: str, data: ImageData, names: Sequence[str], default: int | str
) -> list[Requested]:
    why = differs(path) if path.is_file() else ""
    if why:
        raise UserError(f"{where}: {why}; get it anew, or delete {path.stem}.json if you edited it")
    table = read_csv(path, where, (*_IMAGE, "target"), FORM)
    column = next((name for name in _IMAGE if name in table.columns), None)
    if column is None:
        raise UserError(f"{where} has the columns {', '.join(table.columns)}; expected {FORM}")
    note_ignored(where, [name for name in table.columns if name not in (column, "target")])
    finder = _Finder(path.parent, data)
    requested = []
    for line in table.lines:
        place = f"{where}, line {line.number}"
        target = _wanted(line["target"], names, f"{place}: target") if line["target"] else default
        requested.append(Requested(*finder(column, line, place), target))
    return requested


class _Finder:
    """Images by what a table calls them."""

    def __init__(self, folder: Path, data: ImageData) -> None:
        self.data = data
        root = getattr(data, "root", None)
        self.folders = [folder, *([] if root is None else [Path(root)])]

    def __call__(self, column: str, line: Line, where: str) -> tuple[int | Path, int | str]:
        """The image of a row, and its name."""
        by_file = any(isinstance(name, str) for name in self.data.queried.names[:1])
        if not line[column]:
            raise UserError(f"{where} has no {column}")
        if column == "path" or (column == "image" and by_file):
            return self._file(line[column], where)
        return self._place(line[column], by_file, f"{where}: {column}")

    def _file(self, text: str, where: str) -> tuple[int | Path, int | str]:
        file = find_file(text, self.folders, where)
        for name in (text, text.replace("\\", "/").removeprefix("./"), self._below(file)):
            if name in self._rows:
                own = self.data.queried.names[self._rows[name]]
                self._refuse_other(file, str(own), where)
                return self._rows[name], own
        return file, file_names([file], self.folders[0])[0]

    def _refuse_other(self, file: Path, name: str, where: str) -> None:
        """Refuse a name that two files have: the test image, and another one beside the table."""
        own = self.folders[-1] / name
        if file != own and file.is_file() and own.is_file() and not file.samefile(own):
            raise UserError(
                f"{where}: {name} is a test image, and another file beside the table; write its whole path: "
                f"{own} or {file}"
            )

    def _below(self, file: Path) -> str:
        return file_names([file.resolve()], self.folders[-1])[0]

    def _place(self, text: str, by_file: bool, where: str) -> tuple[int, int | str]:
        number, images = whole_number(text), self.data.queried
        row = number if by_file or number is None else self._rows.get(number)
        if row is None or not 0 <= row < len(images):
            limited = "" if self.data.limit is None else f" of which data.limit={self.data.limit} keeps few,"
            last = len(images) - 1 if by_file else max(int(name) for name in images.names)
            raise UserError(
                f"{where} {text!r} is not an image of the test split,{limited} expected 0..{last}"
            )
        return row, images.names[row]

    @cached_property
    def _rows(self) -> dict[int | str, int]:
        rows = {name: row for row, name in enumerate(self.data.queried.names)}
        return {name.strip(): row for name, row in rows.items() if isinstance(name, str)} | rows


def _query_set(
    requested: Sequence[Requested], data: ImageData, classifier: nn.Module, names: tuple[str, ...]
) -> QuerySet:
    called = {each.image: each.name for each in requested}
    place = {image: i for i, image in enumerate(called)}
    images = _pixels(list(place), data)
    query = torch.tensor([place[each.image] for each in requested])
    targets = [each.target for each in requested]
    if any(isinstance(target, str) for target in targets):
        logits = logits_of(classifier, images).cpu()[query]
        target, rows = resolve_targets(logits, targets, names)
        query = query[rows]
    else:
        target = torch.tensor(targets)
    first = _once(torch.stack((query, target), 1).tolist())
    return QuerySet(images, tuple(called.values()), query[first], target[first])


def _once(rows: Sequence[Sequence[int]]) -> Tensor:
    """The places of rows that no earlier row equals."""
    first = {tuple(row): i for i, row in reversed(list(enumerate(rows)))}
    if len(first) < len(rows):
        warnings.warn(
            f"queries: {len(rows) - len(first)} of {len(rows)} rows stand twice; each is taken once",
            CounterfoilWarning,
            stacklevel=2,
        )
    return torch.tensor(sorted(first.values()))


def _pixels(images: Sequence[int | Path], data: ImageData) -> Tensor:
    """uint8 (n, C, H, W) of rows of the test split and of files, in order."""
    rows = [image for image in images if isinstance(image, int)]
    files = [image for image in images if not isinstance(image, int)]
    found = [iter(data.queried.images[torch.tensor(rows, dtype=torch.int64)])]
    found.append(iter(_read(files, data.shape) if files else ()))
    return torch.stack([next(found[not isinstance(image, int)]) for image in images])


def _read(files: Sequence[Path], shape: Shape) -> Tensor:
    """uint8 (n, C, H, W) of files; what is done to bring them to the shape is said."""
    seen, side = survey(files), (shape.size, shape.size)
    if seen.smallest == seen.largest != side:
        width, height = seen.largest
        cropped = isinstance(shape.crop, int) and min(width, height) > shape.crop
        cut = f" of their middle {shape.crop} x {shape.crop}" if cropped else ""
        made = f"{width} x {height} pixels are made {shape.size} x {shape.size}{cut}"
        log.info(f"queries: {made}, as the training images are")
    for line in seen.notes(shape):
        log.info("queries: %s", line)
    images = decode_in_memory(files, shape)
    warn_of_dark(images, seen, "queries")
    return images


def _correct(
    queries: QuerySet, requested: Sequence[Requested], data: ImageData, classifier: nn.Module, where: str
) -> QuerySet:
    """The queries about images whose label is the classifier's decision."""
    check_labels(data, classes_of(classifier, data), "only_correct=true")
    images = list({each.image: each.name for each in requested}.items())
    unknown = next((name for image, name in images if not isinstance(image, int)), None)
    if unknown is not None:
        raise UserError(
            f"only_correct=true: {where} names {unknown}, which is no test image, so that its class is not "
            "known; leave only_correct out"
        )
    labels = data.queried.labels[torch.tensor([image for image, _ in images])]
    right = logits_of(classifier, queries.images).argmax(1).cpu() == labels
    if not right.any():
        raise UserError(f"only_correct=true: the classifier gets none of the {len(right)} images of {where}")
    wrong = int((~right).sum())
    note_wrong(wrong, len(right))
    rows = right[queries.query]
    place = right.cumsum(0) - 1
    return QuerySet(
        queries.images[right],
        tuple(name for name, kept in zip(queries.names, right.tolist(), strict=True) if kept),
        place[queries.query[rows]],
        queries.target[rows],
        wrong=wrong,
    )
