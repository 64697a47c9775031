"""The frozen queries that all methods of a benchmark explain."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.target import FORMS, class_index, resolve_targets
from counterfoil.data.base import ImageData, Images
from counterfoil.data.corruption import Corruption
from counterfoil.data.decode import open_image
from counterfoil.data.folder import read_images
from counterfoil.data.pixels import flat
from counterfoil.util.digest import file_digest
from counterfoil.util.record import read_json, whole, write_json


@dataclass(frozen=True)
class QuerySet:
    """Rows to explain, each an image and a target; several rows may share an image.

    Attributes:
        images: uint8 (n, C, H, W), one per query.
        names: of the images: their index in the test split, or their file name.
        query: (rows,) int64, the index of a row's image.
        target: (rows,) int64.
        corrupted: float (n, C, H, W) in [0, 1], what is explained in place of the images; None: they are
            explained as they are.
        left_out: rows that asked for the class that their image already has.
    """

    images: Tensor
    names: tuple[int | str, ...]
    query: Tensor
    target: Tensor
    corrupted: Tensor | None = None
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.target)

    @property
    def clean(self) -> Tensor:
        """The images (n, C, H, W) in [0, 1] as the data have them."""
        return self.images.float() / 255

    def corrupt(self, corruption: Corruption, seed: int) -> QuerySet:
        """The same queries, targets included, of corrupted images; one draw for all of them."""
        drawn = corruption(self.clean, torch.Generator().manual_seed(seed))
        return replace(self, corrupted=drawn)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Inputs (B, C, H, W) in [0, 1], targets (B,) and query indices (B,), in order."""
        for rows in torch.arange(len(self)).split(size):
            place = self.query[rows]
            shown = self.images[place].float() / 255 if self.corrupted is None else self.corrupted[place]
            yield shown, self.target[rows], place

    def save(self, path: Path) -> None:
        """Write index,target rows, and beside them, as .json, their count and the hash of the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial, partial.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["index", "target"])
            writer.writerows(
                [self.names[q], t] for q, t in zip(self.query.tolist(), self.target.tolist(), strict=True)
            )
        write_json(path.with_suffix(".json"), {"rows": len(self), "sha256": file_digest(path)})

    def asking(self, classifier: nn.Module) -> QuerySet:
        """The rows whose target is another class than the classifier's decision on their image.

        Raises:
            UserError: no row is left.
        """
        decided = (
            _logits(classifier, Images(self.images, torch.zeros(len(self.images))), None).argmax(1).cpu()
        )
        kept = decided[self.query] != self.target
        if bool(kept.all()):
            return self
        if not bool(kept.any()):
            raise UserError(
                f"target: each of the {len(self)} queries asks for the class that the classifier already "
                "gives its image; choose another target= (own is for queries that a corruption= changes)"
            )
        places, query = self.query[kept].unique(return_inverse=True)
        return replace(
            self,
            images=self.images[places],
            names=tuple(self.names[i] for i in places.tolist()),
            query=query,
            target=self.target[kept],
            left_out=int((~kept).sum()),
        )


def differs(path: Path, noted: bool = False) -> str:
    """How a file of queries differs from what `save` noted beside it; "" where it does not.

    Without a note nothing is known to differ, unless one must be there: `noted`.
    """
    try:
        told = read_json(path.with_suffix(".json"), "count and hash of a file of queries")
    except UserError:
        told = {}
    if not {"rows", "sha256"} <= told.keys():
        return "its count and hash are not noted beside it, or damaged" if noted else ""
    if told["sha256"] == file_digest(path):
        return ""
    return f"it is not the file of {told['rows']} rows that {path.stem}.json notes"


def sample(data: ImageData, classifier: nn.Module, n: int, seed: int, target: str) -> QuerySet:
    """Draw n test images, classes in turn, and give each its target.

    A target is one of `FORMS`, a class by name, or a pair "A:B". A pair takes images of A that
    the classifier puts in A, with target B, and those of B with target A. Images that the classifier already
    puts in a target given by name are left out.

    Raises:
        UserError: where n is not positive, the target is unknown, or fewer than one image is left.
    """
    if n < 1:
        raise UserError(f"n={n}: expected at least one query")
    names = tuple(getattr(classifier, "class_names", None) or data.class_names)
    order = stratified_order(data.test, seed)
    if ":" in target and target not in names:
        if not data.labelled:
            raise UserError(
                f"target={target}: a pair needs labels, which data={data.name} does not have; "
                "choose target=CLASS"
            )
        return _between(
            data.test,
            classifier,
            n,
            order,
            [class_index(_number(part), names, len(names)) for part in target.split(":", 1)],
        )
    wanted = None if target in FORMS else class_index(_number(target), names, len(names))
    index = (order if wanted is None else _not_of(data.test, classifier, wanted, order, n))[:n]
    if not index:
        raise UserError(
            f"target={target}: the classifier already puts every test image in it; choose another target"
        )
    logits = _logits(classifier, data.test, index)
    targets, query = resolve_targets(logits, target if wanted is None else wanted, names)
    return QuerySet(data.test.images[torch.tensor(index)], tuple(index), query.cpu(), targets.cpu())


def from_csv(path: Path, data: ImageData, class_names: Sequence[str]) -> QuerySet:
    """Queries from a CSV with columns index,target: a test image's index and a class by name or number."""
    why = differs(path) if path.is_file() else ""
    if why:
        raise UserError(f"queries={path}: {why}; get it anew, or delete {path.stem}.json if you edited it")
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"queries={path} cannot be read ({error}); expected a CSV with columns index,target"
        ) from error
    if not rows or not {"index", "target"} <= set(rows[0]):
        raise UserError(
            f"queries={path}: expected columns index,target and at least one row, "
            f"found {sorted(rows[0]) if rows else 'no rows'}"
        )
    index, targets = [], []
    for line, row in enumerate(rows, start=2):
        index.append(_row_index(row["index"] or "", len(data.test), f"queries={path}, line {line}"))
        targets.append(_class(row["target"] or "", class_names, f"queries={path}, line {line}"))
    unique = list(dict.fromkeys(index))
    place = {image: i for i, image in enumerate(unique)}
    return QuerySet(
        data.test.images[torch.tensor(unique)],
        tuple(unique),
        torch.tensor([place[i] for i in index]),
        torch.tensor(targets),
    )


def from_folder(folder: Path, data: ImageData, classifier: nn.Module, target: str) -> QuerySet:
    """Queries from the image files in a folder, which must have the data's size."""
    images, names = read_images(folder, data.shape)
    class_names = tuple(getattr(classifier, "class_names", None) or data.class_names)
    logits = _logits(classifier, Images(images, torch.zeros(len(images))), None)
    wanted = target if target in FORMS else class_index(_number(target), class_names, len(class_names))
    targets, query = resolve_targets(logits, wanted, class_names)
    return QuerySet(images, tuple(names), query.cpu(), targets.cpu())


def read_mask(path: Path, size: int) -> Tensor:
    """The pixels of an image file that must stay: bool (size, size), True where it is white and opaque.

    Raises:
        UserError: the file is no image, or of another size.
    """
    try:
        image = flat(open_image(path), 1, background="black")
    except UserError as error:
        raise UserError(f"mask={error}") from error
    except ValueError as error:
        raise UserError(f"mask={path} {error}") from error
    if image.size != (size, size):
        raise UserError(f"mask={path} is {image.width} x {image.height} px, the data are {size} x {size}")
    return torch.from_numpy(np.asarray(image) > 127)


def stratified_order(images: Images, seed: int) -> list[int]:
    """A random order of a split that takes the classes in turn as long as they last."""
    generator = torch.Generator().manual_seed(seed)
    queues = []
    for label in images.labels.unique().tolist():
        rows = (images.labels == label).nonzero()[:, 0]
        queues.append(rows[torch.randperm(len(rows), generator=generator)].tolist())
    longest = max(map(len, queues))
    return [queue[i] for i in range(longest) for queue in queues if i < len(queue)]


def _between(images: Images, classifier: nn.Module, n: int, order: list[int], pair: list[int]) -> QuerySet:
    """Images whose label and decision are one class of a pair, each with the other as its target."""
    index = [i for i in order if int(images.labels[i]) in pair]
    decided = _logits(classifier, images, index).argmax(1).tolist() if index else []
    chosen = [i for i, label in zip(index, decided, strict=True) if label == int(images.labels[i])][:n]
    if not chosen or pair[0] == pair[1]:
        raise UserError(
            f"target={pair[0]}:{pair[1]}: the classifier puts no test image of these classes in its own; "
            "choose two other classes"
        )
    targets = torch.tensor([pair[0] + pair[1] - int(images.labels[i]) for i in chosen])
    return QuerySet(images.images[torch.tensor(chosen)], tuple(chosen), torch.arange(len(chosen)), targets)


def _not_of(images: Images, classifier: nn.Module, wanted: int, order: list[int], n: int) -> list[int]:
    chosen: list[int] = []
    for start in range(0, len(order), 512):
        part = order[start : start + 512]
        decided = _logits(classifier, images, part).argmax(1).tolist()
        chosen += [i for i, label in zip(part, decided, strict=True) if label != wanted]
        if len(chosen) >= n:
            break
    return chosen


def _logits(classifier: nn.Module, images: Images, index: list[int] | None) -> Tensor:
    """(n, K) of the images of an index; None: of all."""
    index = list(range(len(images))) if index is None else index
    reference = next((p for p in classifier.parameters()), torch.zeros(1))
    with torch.no_grad():
        parts = [classifier(images[index[i : i + 256]].x.to(reference)) for i in range(0, len(index), 256)]
    return torch.cat(parts)


def _number(target: str) -> str | int:
    return int(target) if str(target).isdigit() else target


def _class(value: str, names: Sequence[str], where: str) -> int:
    if value in names:
        return list(names).index(value)
    if value.isdecimal() and int(value) < len(names):
        return int(value)
    raise UserError(f"{where}: target {value!r} is not a class; choose one of: {', '.join(names)}")


def _row_index(value: str, rows: int, where: str) -> int:
    if not value.strip().isdecimal() or int(value) >= rows:
        raise UserError(f"{where}: index {value!r} is not a row of the test split, expected 0..{rows - 1}")
    return int(value)
