"""The frozen queries that all methods of a benchmark explain."""

from __future__ import annotations

import csv
import json
import logging
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
from counterfoil.data.pixels import flat
from counterfoil.util.digest import file_digest
from counterfoil.util.record import read_json, whole, write_json

log = logging.getLogger("counterfoil")


@dataclass(frozen=True)
class QuerySet:
    """Rows to explain, each an image and a target; several rows may share an image.

    Attributes:
        images: uint8 (n, C, H, W), one per query.
        names: of the images: their file's, or their place in the published order.
        query: (rows,) int64, the index of a row's image.
        target: (rows,) int64.
        corrupted: float (n, C, H, W) in [0, 1], what is explained in place of the images; None: they are
            explained as they are.
        left_out: rows that want the class that their image already has.
        wrong: how many images were passed over as the classifier gets them wrong.
    """

    images: Tensor
    names: tuple[int | str, ...]
    query: Tensor
    target: Tensor
    corrupted: Tensor | None = None
    left_out: int = 0
    wrong: int = 0

    def __len__(self) -> int:
        return len(self.target)

    @property
    def clean(self) -> Tensor:
        """The images (n, C, H, W) in [0, 1] as the data have them."""
        return self.images.float() / 255

    def clean_of(self, query: Tensor) -> Tensor:
        """Those of some queries (B,) alone."""
        return self.images[query].float() / 255

    def corrupt(self, corruption: Corruption, seed: int) -> QuerySet:
        """The same queries, targets included, of corrupted images; one draw for all of them."""
        drawn = corruption(self.clean, torch.Generator().manual_seed(seed))
        return replace(self, corrupted=drawn)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Inputs (B, C, H, W) in [0, 1], targets (B,) and query indices (B,), in order."""
        for rows in torch.arange(len(self)).split(size):
            yield self.at(rows)

    def at(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs (B, C, H, W) in [0, 1], targets (B,) and query indices (B,) of some rows (B,)."""
        place = self.query[rows]
        shown = self.clean_of(place) if self.corrupted is None else self.corrupted[place]
        return shown, self.target[rows], place

    def save(self, path: Path, class_names: Sequence[str]) -> None:
        """Write path,target or index,target rows for `queries=`, and beside them their count and hash."""
        path.parent.mkdir(parents=True, exist_ok=True)
        column = "path" if any(isinstance(name, str) for name in self.names) else "index"
        raw = "surrogateescape"  # names of files need not be UTF-8
        with whole(path) as partial, partial.open("w", newline="", encoding="utf-8", errors=raw) as file:
            writer = csv.writer(file)
            writer.writerow([column, "target"])
            writer.writerows(
                [self.names[query], class_names[target]]
                for query, target in zip(self.query.tolist(), self.target.tolist(), strict=True)
            )
        write_json(path.with_suffix(".json"), {"rows": len(self), "sha256": file_digest(path)})

    def names_of(self, query: Tensor) -> str:
        """The names of the images of some queries, by query, as JSON."""
        return json.dumps({place: self.names[place] for place in query.unique().tolist()})

    def asking(self, classifier: nn.Module) -> QuerySet:
        """The rows whose target is another class than the classifier's decision on their image.

        Raises:
            UserError: no row is left.
        """
        decided = logits_of(classifier, self.images).argmax(1).cpu()
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


def sample(
    data: ImageData, classifier: nn.Module, n: int, seed: int, target: str, only_correct: bool = False
) -> QuerySet:
    """Draw n test images, classes in turn, and give each its target.

    A target is one of `FORMS`, a class by name, or a pair "A:B". A pair takes images of A that
    the classifier puts in A, with target B, and those of B with target A. Images that the classifier already
    puts in a target given by name are left out; with `only_correct` those that it puts in a class that is not
    their label, too, and a line says how many.

    Raises:
        UserError: where n is not positive, the target is unknown, labels are needed and not there, or fewer
            than one image is left.
    """
    if n < 1:
        raise UserError(f"n={n}: expected at least one query")
    names, order = classes_of(classifier, data), stratified_order(data.queried, seed)
    pair = _pair(target, names)
    if only_correct or pair:
        check_labels(data, names, "only_correct=true" if only_correct else f"target={target}")
    if pair:
        order = [i for i in order if int(data.queried.labels[i]) in pair]
    wanted = None if pair or target in FORMS else class_index(target, names, len(names))
    index, wrong = _first(data.queried, classifier, order, n, wanted, right=only_correct or pair is not None)
    if not index or (pair and pair[0] == pair[1]):
        raise UserError(f"target={target}: {_nothing_left(pair is not None, only_correct)}")
    if only_correct:
        note_wrong(wrong, len(index) + wrong)
    images = data.queried.images[torch.tensor(index)]
    if pair:
        targets = torch.tensor([sum(pair) - int(data.queried.labels[i]) for i in index])
        query = torch.arange(len(index))
    else:
        logits = logits_of(classifier, images)
        targets, query = resolve_targets(logits, target if wanted is None else wanted, names)
    called = tuple(data.queried.names[i] for i in index)
    return QuerySet(images, called, query.cpu(), targets.cpu(), wrong=wrong if only_correct else 0)


def classes_of(classifier: nn.Module, data: ImageData) -> tuple[str, ...]:
    """The names of the classes that a target may be."""
    return tuple(getattr(classifier, "class_names", None) or data.class_names)


def logits_of(classifier: nn.Module, images: Tensor) -> Tensor:
    """The classifier's logits (n, K), without gradient, of images uint8 (n, C, H, W)."""
    reference = next((p for p in classifier.parameters()), torch.zeros(1))
    with torch.no_grad():
        return torch.cat(
            [classifier(part.to(torch.float32).div_(255).to(reference)) for part in images.split(256)]
        )


def check_labels(data: ImageData, names: Sequence[str], option: str) -> None:
    """Refuse an option that needs the true class of each image where the data do not tell it."""
    if not data.labelled:
        raise UserError(f"{option} needs labels, which data={data.name} does not have; leave it out")
    if tuple(data.class_names) != tuple(names):
        raise UserError(
            f"{option} needs labels of the classifier's classes ({', '.join(names)}), those of "
            f"data={data.name} are {', '.join(data.class_names)}; leave it out"
        )


def note_wrong(wrong: int, images: int) -> None:
    """Say how many images `only_correct` leaves out."""
    log.info(f"only_correct=true: {wrong} of {images} images are left out, as the classifier gets them wrong")


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


def _pair(target: str, names: Sequence[str]) -> list[int] | None:
    """The classes of a target "A:B"; None where it is none."""
    if ":" not in target or target in names:
        return None
    return [class_index(part, names, len(names)) for part in target.split(":", 1)]


def _first(
    images: Images, classifier: nn.Module, order: list[int], n: int, unwanted: int | None, right: bool
) -> tuple[list[int], int]:
    """The first n of an order that are in another class than `unwanted` and, with `right`, in their own.

    Also how many before the last of them are in a class that is not their own.
    """
    if unwanted is None and not right:
        return order[:n], 0
    chosen: list[int] = []
    wrong = 0
    for part in torch.tensor(order, dtype=torch.int64).split(512):
        decided = logits_of(classifier, images.images[part]).argmax(1).cpu()
        for i, own, label in zip(part.tolist(), decided.tolist(), images.labels[part].tolist(), strict=True):
            if len(chosen) == n:
                return chosen, wrong
            wrong += own != label
            if own != unwanted and (own == label or not right):
                chosen.append(i)
    return chosen, wrong


def _nothing_left(pair: bool, only_correct: bool) -> str:
    if pair:
        return "the classifier puts no test image of these classes in its own; choose two other classes"
    if only_correct:
        return "no test image is left that the classifier gets right (only_correct=true)"
    return "the classifier already puts every test image in it; choose another target"
