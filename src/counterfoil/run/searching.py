"""One method at work on a query set: batch by batch, each in a file that tells of what it was made."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.batches import Batches, Note
from counterfoil.core.counterfactuals import Counterfactuals, metadata_of
from counterfoil.core.errors import UserError
from counterfoil.data.queries import QuerySet
from counterfoil.explainer.again import Pass, again
from counterfoil.explainer.base import Explainer

log = logging.getLogger("counterfoil")
FEW = 8
"""Files whose further passes wait for one another."""


@dataclass(frozen=True)
class Searching:
    """One method at work on a query set.

    Args:
        explainer: the method.
        queries: the query set.
        device, dtype: of the search.
        mask: pixels (H, W) bool that must stay; None: all may change.
        reference: where queries are corrupted, explain the clean ones as well.
        method: a digest of the method, its options and all weights that it reads.
        again: further passes over each counterfactual, see `counterfoil.explainer.again`.
    """

    explainer: Explainer
    queries: QuerySet
    device: torch.device
    dtype: torch.dtype
    mask: Tensor | None = None
    reference: bool = False
    method: str = ""
    again: Sequence[Pass] = ()

    def question(self, x: Tensor, target: Tensor, query: Tensor) -> str:
        """A digest of all that a batch of counterfactuals follows from."""
        told = hashlib.sha256(f"{self.method} {self.reference} {self.mask is None}".encode())
        told.update(" ".join(sorted(set(self.again))).encode())
        for part in (x, target, query) if self.mask is None else (x, target, query, self.mask.cpu()):
            told.update(f"{part.dtype} {tuple(part.shape)}".encode())
            told.update(part.contiguous().numpy().data)
        return told.hexdigest()

    def stored(self, file: Path, rows: Tensor) -> bool:
        """Whether a file holds the counterfactuals of these rows of the query set."""
        return _stored(file, self.question(*self.queries.at(rows))) is not None

    def store(self, file: Path, rows: Tensor) -> None:
        """Explain these rows of the query set, and write the file."""
        batch = self.queries.at(rows)
        names = self.queries.names_of(batch[2])
        self(*batch).save(file, question=self.question(*batch), names=names)

    def store_each(self, jobs: Sequence[tuple[Path, Tensor]]) -> Iterator[tuple[Path, Tensor]]:
        """Explain the rows of several files side by side; yields each pair once the file is written.

        Further passes wait until a few files are through, or they would count as time of the rows at work.
        """
        several = FEW if self.again else max(len(jobs), 1)
        for first in range(0, len(jobs), several):
            found = self._found_each(jobs[first : first + several])
            for whole, (file, rows) in list(found) if self.again else found:
                batch = self.queries.at(rows)
                names = self.queries.names_of(batch[2])
                self._again(whole).save(file, question=self.question(*batch), names=names)
                yield file, rows

    def _found_each(
        self, jobs: Sequence[tuple[Path, Tensor]]
    ) -> Iterator[tuple[Counterfactuals, tuple[Path, Tensor]]]:
        """The counterfactuals of each file, explained side by side, without further passes."""
        own = 1 + (self.reference and self.queries.corrupted is not None)
        found: dict[int, dict[int, Counterfactuals]] = {}
        for number, part in self.explainer.stream(self._batches(jobs), mask=self.mask):
            job, which = divmod(number, own)
            found.setdefault(job, {})[which] = part.map(_single)
            if len(found[job]) == own:
                parts, (_file, rows) = found.pop(job), jobs[job]
                yield self._settled(parts[0], parts.get(1), self.queries.at(rows)[2]), jobs[job]

    def _batches(self, jobs: Sequence[tuple[Path, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        """The queries of each file, and behind them the clean ones where they are explained too."""
        for _file, rows in jobs:
            x, target, query = self.queries.at(rows)
            yield x.to(self.device, self.dtype), target.to(self.device)
            if self.reference and self.queries.corrupted is not None:
                yield self.queries.clean_of(query).to(self.device, self.dtype), target.to(self.device)

    def __call__(self, x: Tensor, target: Tensor, query: Tensor) -> Counterfactuals:
        """A batch's counterfactuals on the CPU in float32, numbered by the query set's own indices."""
        found, own = self._explained(x, target), None
        if self.reference and self.queries.corrupted is not None:
            own = self._explained(self.queries.clean_of(query), target)
        return self._again(self._settled(found, own, query))

    def _settled(
        self, found: Counterfactuals, reference: Counterfactuals | None, query: Tensor
    ) -> Counterfactuals:
        """The same beside the clean images, numbered by the query set's own indices."""
        if self.queries.corrupted is not None:
            clean = self.queries.clean_of(query)[found.query]
            own = None if reference is None else reference.counterfactual
            found = replace(found, clean=clean, reference=own)
        return replace(found, query=query[found.query])

    def _again(self, found: Counterfactuals) -> Counterfactuals:
        """The same with those of the further passes."""
        if not self.again:
            return found

        def place(x: Tensor) -> Tensor:
            return x.to(self.device, self.dtype)

        return again(self.explainer, found, self.again, mask=self.mask, place=place)

    def _explained(self, x: Tensor, target: Tensor) -> Counterfactuals:
        found: Counterfactuals = self.explainer(
            x.to(self.device, self.dtype), target.to(self.device), mask=self.mask
        )
        return found.map(_single)


def explain_all(search: Searching, name: str, folder: Path, batch_size: int) -> Batches:
    """The counterfactuals of all rows of a query set, written to `folder` batch by batch.

    A batch that is there and was made of the same question is read instead of computed; `name` stands beside
    the progress bar. Where the method refills its places, the batches that lack are explained side by side,
    and each is written as soon as its last row is finished.
    """
    notes, files, made = [], [], set()
    with progress(name) as bar:
        task = bar.add_task(name, total=len(search.queries))
        parts = enumerate(torch.arange(len(search.queries)).split(batch_size))
        jobs = [(batch_file(folder, i), rows) for i, rows in parts]
        if search.explainer.refills:
            lacking = [job for job in jobs if not search.stored(*job)]
            for file, rows in search.store_each(lacking):
                made.add(file)
                bar.update(task, advance=len(rows))
        for file, rows in jobs:
            files.append(file)
            found = _stored(file, search.question(*search.queries.at(rows)))
            if found is None:
                search.store(file, rows)
                found = Counterfactuals.load(file)
            notes.append(Note.of(found))
            bar.update(task, advance=0 if file in made else len(rows))
    for stranger in set(folder.glob("*.safetensors")) - set(files):
        log.info(f"{stranger} belongs to none of these {len(files)} batches; it is removed")
        stranger.unlink()
    return Batches(files, notes=notes)


def batch_file(folder: Path, number: int) -> Path:
    """The file of a method's batch of this number, from 0."""
    return folder / f"batch-{number:05d}.safetensors"


def _stored(file: Path, question: str) -> Counterfactuals | None:
    """What a file holds that was made of this question; None, with a line, where it must be made anew."""
    if not file.is_file():
        return None
    try:
        if metadata_of(file).get("question") == question:
            return Counterfactuals.load(file)
        why = f"{file} is about other queries, or was made by another method or other weights"
    except UserError as error:
        why = str(error)
    log.info(f"{why}: it is made anew")
    return None


def _single(name: str, value: Tensor) -> Tensor:
    whole = name in ("steps", "seconds") or not value.is_floating_point()
    return value.cpu() if whole else value.cpu().float()


def progress(name: str) -> Any:
    """A progress bar with an ETA; `name` stands beside it."""
    from rich import progress as rich

    return rich.Progress(
        rich.TextColumn(f"{name:16}", markup=False),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("elapsed"),
        rich.TimeElapsedColumn(),
        rich.TextColumn("left"),
        rich.TimeRemainingColumn(),
    )
