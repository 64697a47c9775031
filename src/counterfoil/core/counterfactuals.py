"""Counterfactuals with everything a metric or a report reads, and their file format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.core.query import probability_of

FORMAT = "counterfoil.counterfactuals/2"
_COSTS = ("steps", "seconds", "classifier_calls", "peak_memory_mb")
_TABLES = ("changes", "extra")
"""Fields that hold tensors by name."""
_OPTIONAL = ("clean", "reference", "path", *_TABLES)


@dataclass(frozen=True)
class Found:
    """What a method hands back: raw and ungraded.

    Attributes:
        counterfactual: (B, C, H, W), any range; clamped and graded by the base class.
        steps: (B,) search steps each row took.
        classifier_calls: (B,) inputs the classifier was shown for each row.
        path: (B, S, C, H, W) images along the way, or None.
        changes: (B,) change of each attribute that the method moves, by the attribute's name; 1 leads from absent to present.
        extra: further tensors with a leading B, by name.
    """

    counterfactual: Tensor
    steps: Tensor
    classifier_calls: Tensor
    path: Tensor | None = None
    changes: Mapping[str, Tensor] = field(default_factory=dict)
    extra: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Counterfactuals:
    """Graded counterfactuals, one row each; several rows may belong to the same query.

    Attributes:
        factual, counterfactual: (B, C, H, W) in [0, 1].
        target: (B,) int64.
        factual_logits, counterfactual_logits: (B, K), by the classifier explained, on exactly the images held here.
        query: (B,) int64, index of the query that the row belongs to.
        steps, seconds, classifier_calls, peak_memory_mb: (B,) cost of each row, NaN where unknown; seconds are the
            wall time of the batch shared equally among its rows, memory is the peak of the process meanwhile.
        clean: (B, C, H, W) in [0, 1], the query before it was corrupted, or None where it was not.
        reference: (B, C, H, W) in [0, 1], the same method's counterfactual of the clean query, or None.
        path: (B, S, C, H, W) progressive strips, or None.
        changes: (B,) declared change of each attribute by its name, 1 being the way from absent to present; 0 for rows
            returned as they were. {} where the method declares none.
        extra: further per-row tensors by name.
    """

    factual: Tensor
    counterfactual: Tensor
    target: Tensor
    factual_logits: Tensor
    counterfactual_logits: Tensor
    query: Tensor
    steps: Tensor
    seconds: Tensor
    classifier_calls: Tensor
    peak_memory_mb: Tensor
    clean: Tensor | None = None
    reference: Tensor | None = None
    path: Tensor | None = None
    changes: Mapping[str, Tensor] = field(default_factory=dict)
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.factual.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> Counterfactuals:
        """The rows chosen by an index, a mask or a slice."""
        tensors = {name: value[rows] for name, value in self._tensors().items()}
        return _assemble(tensors)

    @property
    def valid(self) -> Tensor:
        """Whether the classifier's decision on the counterfactual is the target: bool (B,)."""
        return self.counterfactual_logits.argmax(1) == self.target

    @property
    def source(self) -> Tensor:
        """The classifier's decision on the factual: int64 (B,)."""
        return self.factual_logits.argmax(1)

    @property
    def delta(self) -> Tensor:
        """counterfactual - factual, in [-1, 1]."""
        return self.counterfactual - self.factual

    @property
    def target_probability(self) -> Tensor:
        """The classifier's probability of the target on the counterfactual: (B,)."""
        return probability_of(self.counterfactual_logits, self.target)

    def to(self, device: torch.device | str) -> Counterfactuals:
        """The same counterfactuals on another device."""
        return _assemble({name: value.to(device) for name, value in self._tensors().items()})

    @staticmethod
    def cat(parts: Sequence[Counterfactuals]) -> Counterfactuals:
        """Join batches in order.

        A part in which nothing was searched gets its factuals for `path`, 0 for a change, and NaN (or -1) for an extra.
        """
        tables = [part._tensors() for part in parts]
        like = {name: value for table in tables for name, value in table.items()}
        return _assemble(
            {
                name: torch.cat([_column(table, name, value) for table in tables])
                for name, value in like.items()
            }
        )

    def save(self, path: Path | str, **metadata: str) -> None:
        """Write to a safetensors file under a temporary name, then rename, so that the file is whole or absent."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        tensors = {name: value.detach().cpu().contiguous() for name, value in self._tensors().items()}
        try:
            save_file(tensors, str(partial), metadata={"format": FORMAT, **metadata})
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @staticmethod
    def load(path: Path | str) -> Counterfactuals:
        """Read a file written by `save`; raises UserError for a file that is damaged or not of this format."""
        try:
            with safe_open(str(path), framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path} is not a readable safetensors file ({error}); delete it or make it again"
            ) from error
        missing = [f.name for f in fields(Counterfactuals) if f.name not in (*_OPTIONAL, *tensors)]
        if metadata.get("format", "").startswith(FORMAT.split("/")[0]) and metadata["format"] != FORMAT:
            raise UserError(
                f"{path} was written by another version (format {metadata['format']}, expected {FORMAT}); "
                "explain again with overwrite=true, or in another run_dir"
            )
        if metadata.get("format") != FORMAT or missing:
            raise UserError(
                f"{path} is not a file of counterfactuals: it lacks {json.dumps(missing or ['format'])}"
            )
        return _assemble(tensors)

    def _tensors(self) -> dict[str, Tensor]:
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _TABLES}
        for table in _TABLES:
            named |= {f"{table}.{name}": value for name, value in getattr(self, table).items()}
        return {name: value for name, value in named.items() if value is not None}


def _column(table: Mapping[str, Tensor], name: str, like: Tensor) -> Tensor:
    if name in table:
        return table[name]
    factual = table["factual"]
    if name == "path":
        return factual[:, None].expand(-1, *like.shape[1:])
    if name.startswith("changes."):
        return like.new_zeros(len(factual))
    return like.new_full((len(factual), *like.shape[1:]), torch.nan if like.is_floating_point() else -1)


def _assemble(tensors: Mapping[str, Tensor]) -> Counterfactuals:
    named: dict[str, Any] = {table: {} for table in _TABLES}
    for name, value in tensors.items():
        table, dot, key = name.partition(".")
        (named[table] if dot else named).update({key or table: value})
    return Counterfactuals(**named)


def unknown_costs(rows: int) -> dict[str, Tensor]:
    """NaN for each cost field, for counterfactuals that were made elsewhere."""
    return {name: torch.full((rows,), float("nan")) for name in _COSTS}
