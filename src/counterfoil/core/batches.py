"""The counterfactuals of one method in files: one file at a time is in memory, as often as asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.strip import Posteriors

_PLAIN = ("query", "target", "source", "valid", "walked", "largest")


class Note(NamedTuple):
    """What is kept of a batch once it is read.

    Attributes:
        columns: numbers (B, ...) per row, by name; no image and no logits.
        like: each of its tensors without rows (0, ...), by name.
    """

    columns: dict[str, Tensor]
    like: dict[str, Tensor]

    @staticmethod
    def of(cf: Counterfactuals) -> Note:
        """The note of a batch."""
        failed = torch.zeros_like(cf.valid) if cf.failed is None else cf.failed
        columns = {name: getattr(cf, name) for name in _PLAIN} | {"failed": failed}
        columns |= {f"changes.{name}": value for name, value in cf.changes.items()}
        read = cf.posteriors
        columns |= {} if read is None else {f"posterior.{name}": v for name, v in read._asdict().items()}
        like = {name: value.new_empty(0, *value.shape[1:]) for name, value in cf.tensors().items()}
        return Note({name: value.detach().cpu().clone() for name, value in columns.items()}, like)

    def __len__(self) -> int:
        return len(self.columns["query"])


class Batches:
    """Counterfactuals in files, in order; whatever is asked of all rows at once is a number per row.

    Iterating reads file after file. A batch gets what others hold and it lacks, see `Counterfactuals.cat`.

    Args:
        files: one batch each.
        read: gives the counterfactuals of a file, the same each time.
        notes: of each file, where it was read before; None: all are read once when a row is asked about.
    """

    def __init__(
        self,
        files: Sequence[Path],
        read: Callable[[Path], Counterfactuals] = Counterfactuals.load,
        notes: Sequence[Note] | None = None,
    ) -> None:
        self.files, self._read = tuple(files), read
        if notes is not None:
            self.__dict__["notes"] = tuple(notes)

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """What is kept of each file."""
        return tuple(Note.of(self._read(file)) for file in self.files)

    @cached_property
    def like(self) -> dict[str, Tensor]:
        """Every tensor that one of the batches holds, without rows, by name."""
        return {name: value for note in self.notes for name, value in note.like.items()}

    @cached_property
    def _columns(self) -> dict[str, Tensor]:
        known = {name: value for note in self.notes for name, value in note.columns.items()}
        return {
            name: torch.cat([_filled(note, name, like) for note in self.notes])
            for name, like in known.items()
        }

    def __len__(self) -> int:
        return sum(map(len, self.notes))

    def __iter__(self) -> Iterator[Counterfactuals]:
        return (self._batch(place) for place in range(len(self.files)))

    def _batch(self, place: int) -> Counterfactuals:
        return self._read(self.files[place]).holding(self.like)

    def __getitem__(self, rows: Tensor | slice) -> Counterfactuals:
        """The rows of an index (M,) or a slice; the files that hold one of them are read in turn."""
        chosen = torch.arange(len(self))[rows]
        if not len(chosen):
            return self._batch(0)[:0]
        ends = torch.tensor([len(note) for note in self.notes]).cumsum(0)
        owner = torch.bucketize(chosen, ends, right=True)
        parts, places = [], []
        for file in owner.unique().tolist():
            mine = (owner == file).nonzero()[:, 0]
            parts.append(self._batch(file)[chosen[mine] - (ends[file] - len(self.notes[file]))])
            places.append(mine)
        return Counterfactuals.cat(parts)[torch.cat(places).argsort()]

    @property
    def bare(self) -> Batches:
        """The same without strips."""
        notes = [
            Note(note.columns, {n: v for n, v in note.like.items() if not n.startswith("strip.")})
            for note in self.notes
        ]
        return Batches(self.files, lambda file: self._read(file).bare, notes)

    def only(self, rows: Tensor) -> Batches:
        """The rows of a mask (N,) bool alone, read from the same files."""
        masks = dict(zip(self.files, rows.split([len(note) for note in self.notes]), strict=True))
        notes = [
            Note({name: value[masks[file]] for name, value in note.columns.items()}, note.like)
            for file, note in zip(self.files, self.notes, strict=True)
        ]
        return Batches(self.files, lambda file: self._read(file)[masks[file]], notes)

    @property
    def query(self) -> Tensor:
        """See `Counterfactuals`, as for the next ones: int64 (N,)."""
        return self._columns["query"]

    @property
    def target(self) -> Tensor:
        """int64 (N,)."""
        return self._columns["target"]

    @property
    def source(self) -> Tensor:
        """int64 (N,)."""
        return self._columns["source"]

    @property
    def valid(self) -> Tensor:
        """bool (N,)."""
        return self._columns["valid"]

    @property
    def failed(self) -> Tensor:
        """bool (N,)."""
        return self._columns["failed"]

    @property
    def failures(self) -> int:
        """How many rows failed."""
        return int(self.failed.sum())

    @property
    def walked(self) -> Tensor:
        """bool (N,)."""
        return self._columns["walked"]

    @property
    def largest(self) -> Tensor:
        """float (N,)."""
        return self._columns["largest"]

    @property
    def changes(self) -> Mapping[str, Tensor]:
        """(N,) by the attribute's name."""
        return {n.removeprefix("changes."): v for n, v in self._columns.items() if n.startswith("changes.")}

    @property
    def extra(self) -> Mapping[str, Tensor]:
        """What is held beside each row, by name, without rows."""
        return {n.removeprefix("extra."): v for n, v in self.like.items() if n.startswith("extra.")}

    @property
    def posteriors(self) -> Posteriors | None:
        """Of the strips of all rows; None where nothing is requested."""
        if "posterior.requested" not in self._columns:
            return None
        return Posteriors(*(self._columns[f"posterior.{name}"] for name in Posteriors._fields))


Rows = Counterfactuals | Batches
"""Counterfactuals in memory, or in files."""


def regrouped(parts: Iterable[Counterfactuals], rows: int) -> Iterator[Counterfactuals]:
    """The same counterfactuals, `rows` at a time; fewer at the end."""
    held: list[Counterfactuals] = []
    for part in parts:
        held.append(part)
        while sum(map(len, held)) >= rows:
            whole = held[0] if len(held) == 1 else Counterfactuals.cat(held)
            held = [whole[rows:]] if len(whole) > rows else []
            yield whole[:rows]
    if any(map(len, held)):
        yield Counterfactuals.cat(held)


def _filled(note: Note, name: str, like: Tensor) -> Tensor:
    """A column, or what stands for it in a batch that has none: nothing moved, nothing requested."""
    if name in note.columns:
        return note.columns[name]
    return like.new_full((len(note), *like.shape[1:]), 0.0 if name.startswith("changes.") else torch.nan)
