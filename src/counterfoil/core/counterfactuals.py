"""Counterfactuals with everything a metric or a report reads, and their file format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.core.extras import EXTRAS, check_extras
from counterfoil.core.packed import pack, unpack
from counterfoil.core.query import finite_rows, probability_of, reaches
from counterfoil.core.stored import COSTS, checked
from counterfoil.core.strip import Posteriors, Strip, levels
from counterfoil.core.whole import whole

FORMAT = "counterfoil.counterfactuals/5"
_READ = (FORMAT, "counterfoil.counterfactuals/4")
"""Formats that are read; in the older one the images of a strip are floats."""
DIGEST = "sha256"
"""Key of a file's metadata that holds the hash of its tensors."""
METHOD = "method"
"""Key of a file's metadata that holds the method's name."""
_TABLES = ("changes", "extra")
"""Fields that hold tensors by name."""
_OPTIONAL = ("clean", "reference", "strip", *_TABLES, "failed", METHOD)


@dataclass(frozen=True)
class Found:
    """What a method returns: raw and ungraded.

    Attributes:
        counterfactual: (B, C, H, W), any range; clamped and graded by the base class.
        steps: (B,) search steps each row took.
        classifier_calls: (B,) inputs that the classifier evaluated for each row.
        strip: images along the way, not graded yet, or None.
        changes: (B,) change of each attribute that the method moves, by its name; 1 leads from absent to
            present.
        extra: further tensors with a leading B, by a name that `core.extras` declares.
        seconds: (B,) what each row took; None: the rows share the time of their batch.
        target: (B,) the class that each row was led to, of a method that chooses it; None: the query's.

    Raises:
        UserError: an extra that is not declared, or of another shape.
    """

    counterfactual: Tensor
    steps: Tensor
    classifier_calls: Tensor
    strip: Strip | None = None
    changes: Mapping[str, Tensor] = field(default_factory=dict)
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    seconds: Tensor | None = None
    target: Tensor | None = None

    def __post_init__(self) -> None:
        check_extras(self.extra, len(self.counterfactual))

    def __getitem__(self, rows: Tensor) -> Found:
        """The rows (B,) bool alone."""
        strip = {} if self.strip is None else self.strip.tensors()
        return Found(
            self.counterfactual[rows],
            self.steps[rows],
            self.classifier_calls[rows],
            Strip.of({name: value[rows] for name, value in strip.items()}) if strip else None,
            {name: value[rows] for name, value in self.changes.items()},
            {name: value[rows] for name, value in self.extra.items()},
            None if self.seconds is None else self.seconds[rows],
            None if self.target is None else self.target[rows],
        )

    @property
    def finite(self) -> Tensor:
        """Whether images, changes and code of each row are free of NaN and infinite values: bool (B,)."""
        extra = [value for name, value in self.extra.items() if EXTRAS[name].finite]
        strip = None if self.strip is None else self.strip.images
        return finite_rows(self.counterfactual, strip, *self.changes.values(), *extra)


@dataclass(frozen=True)
class Counterfactuals:
    """Graded counterfactuals, one per row; several rows may belong to the same query.

    Attributes:
        factual, counterfactual: (B, C, H, W) in [0, 1].
        target: (B,) int64.
        factual_logits, counterfactual_logits: (B, K), by the classifier explained, on exactly the images held
            here.
        query: (B,) int64, index of the query that the row belongs to.
        steps, seconds, classifier_calls, peak_memory_mb: (B,) cost of each row, NaN where unknown; seconds
            are the wall time of the batch shared equally among its rows, memory is its highest rise
            meanwhile.
        clean: (B, C, H, W) in [0, 1], the query before it was corrupted, or None where it was not.
        reference: (B, C, H, W) in [0, 1], the same method's counterfactual of the clean query, or None.
        strip: images on the way to each counterfactual, graded like it, or None.
        changes: (B,) declared change of each attribute by its name, 1 being the way from absent to present; 0
            for rows returned as they were. {} where the method declares none.
        extra: further tensors of a row by name, see `core.extras`.
        failed: (B,) bool, whether the row gave images, a code or logits that are not finite: it shows the
            factual instead, and is not valid, whatever the classifier says of the factual. None: no row did.
        method: the name of what made them, "" where it is not known or they are of several.
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
    strip: Strip | None = None
    changes: Mapping[str, Tensor] = field(default_factory=dict)
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    failed: Tensor | None = None
    method: str = ""

    def __len__(self) -> int:
        return self.factual.shape[0]

    def __repr__(self) -> str:
        queries, failed = len(self.query.unique()), self.failures
        of = "" if queries == len(self) else f" of {queries} queries"
        by = f" by {self.method}" if self.method else ""
        if not len(self):
            return "0 counterfactuals"
        told = (
            f"{100 * float(self.valid.double().mean()):.0f} % valid, L1 {float(self.delta.abs().mean()):.3f}"
        )
        return f"{len(self)} counterfactuals{of}{by}: {told}{f', {failed} failed' if failed else ''}"

    def _repr_html_(self) -> str:
        return str(_shown().html(self))

    def plot(self, rows: int = 8, class_names: Sequence[str] | None = None) -> Any:
        """Factual, counterfactual and signed difference of the first rows, as a figure of matplotlib."""
        return _shown().figure(self, rows, class_names)

    def to_dict(self) -> dict[str, list[Any]]:
        """Query, source, target, validity, distances and costs of each row, as plain values by name."""
        table: dict[str, list[Any]] = _shown().columns(self)
        return table

    def to_frame(self) -> Any:
        """The same as a pandas.DataFrame; raises UserError where pandas is not installed."""
        return _shown().frame(self.to_dict())

    def animate(self, path: Path | str, rows: int = 8, seconds: float = 0.2) -> Path:
        """Write the images on the way, of methods with strips, as a GIF; raises UserError for others."""
        written: Path = _shown().film(self, path, rows, seconds)
        return written

    def __getitem__(self, rows: Tensor | slice) -> Counterfactuals:
        """The rows chosen by an index, a mask or a slice."""
        return self.map(lambda _name, value: value[rows])

    @property
    def valid(self) -> Tensor:
        """Whether the classifier's decision on the counterfactual is the target: bool (B,)."""
        decided = reaches(self.counterfactual_logits, self.target)
        return decided if self.failed is None else decided & ~self.failed

    @property
    def failures(self) -> int:
        """How many rows failed."""
        return 0 if self.failed is None else int(self.failed.sum())

    @property
    def walked(self) -> Tensor:
        """Whether a strip leads away from the factual: bool (B,)."""
        if self.strip is None:
            return torch.zeros_like(self.target, dtype=torch.bool)
        return (self.strip.images != self.factual[:, None]).flatten(1).any(1)

    @property
    def source(self) -> Tensor:
        """The classifier's decision on the factual: int64 (B,)."""
        return self.factual_logits.argmax(1)

    @property
    def delta(self) -> Tensor:
        """counterfactual - factual, in [-1, 1]."""
        return self.counterfactual - self.factual

    @property
    def largest(self) -> Tensor:
        """The largest absolute change of a pixel of each row: (B,)."""
        return self.delta.abs().flatten(1).amax(1)

    @property
    def posteriors(self) -> Posteriors | None:
        """Requests and results along strips, NaN for rows without one; None where nothing is requested."""
        return None if self.strip is None else self.strip.posteriors(self.target, self.factual_logits)

    @property
    def bare(self) -> Counterfactuals:
        """The same without strips."""
        return replace(self, strip=None)

    @property
    def target_probability(self) -> Tensor:
        """The classifier's probability of the target on the counterfactual: (B,)."""
        return probability_of(self.counterfactual_logits, self.target)

    def to(self, device: torch.device | str) -> Counterfactuals:
        """The same counterfactuals on another device."""
        return self.map(lambda _name, value: value.to(device))

    def map(self, change: Callable[[str, Tensor], Tensor]) -> Counterfactuals:
        """`change` applied to each tensor and its name, such as `target`, `strip.images` or `extra.z`."""
        changed = {name: change(name, value) for name, value in self.tensors().items()}
        return assemble(changed, self.method)

    @staticmethod
    def cat(parts: Sequence[Counterfactuals]) -> Counterfactuals:
        """Join batches in order.

        A part in which nothing was searched gets its factuals for a strip, 0 for a change, and NaN (or -1)
        for what is not known.
        """
        tables = [part.tensors() for part in parts]
        like = {name: value for table in tables for name, value in table.items()}
        joined = {
            name: torch.cat([_column(table, name, value) for table in tables]) for name, value in like.items()
        }
        methods = {part.method for part in parts}
        return assemble(joined, methods.pop() if len(methods) == 1 else "")

    def holding(self, like: Mapping[str, Tensor]) -> Counterfactuals:
        """The same rows with every tensor named in `like` (0, ...), filled as by `cat`."""
        held = self.tensors()
        if like.keys() <= held.keys():
            return self
        filled = {name: _column(held, name, value) for name, value in like.items() if name not in held}
        return assemble(held | filled, self.method)

    def save(self, path: Path | str, **metadata: str) -> None:
        """Write a safetensors file under a temporary name, then rename it: it is whole or absent.

        The images of strips are written with 8 bits, see `Strip.restored`; one-hot rows as numbers.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: value.detach().cpu().clone().contiguous() for name, value in self.tensors().items()}
        if self.strip is not None:
            tensors["strip.images"] = levels(tensors["strip.images"])
        tensors, rows = pack(tensors)
        noted = {"format": FORMAT, DIGEST: _digest(tensors), METHOD: self.method, **rows, **metadata}
        with whole(path) as partial:
            save_file(tensors, str(partial), metadata=noted)

    @staticmethod
    def load(path: Path | str) -> Counterfactuals:
        """Read what `save` wrote; raises UserError for a file that is damaged or of another format."""
        with _opened(path) as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get(DIGEST, digest := _digest(tensors)) != digest:
            raise UserError(f"{path} is damaged: its content is not what was written; make it again")
        missing = [f.name for f in fields(Counterfactuals) if f.name not in (*_OPTIONAL, *tensors)]
        if metadata.get("format", "").startswith(FORMAT.split("/")[0]) and metadata["format"] not in _READ:
            raise UserError(
                f"{path} was written by another version (format {metadata['format']}, expected {FORMAT}); "
                "explain again with overwrite=true, or in another run_dir"
            )
        if metadata.get("format") not in _READ or missing:
            raise UserError(
                f"{path} is not a file of counterfactuals: it lacks {json.dumps(missing or ['format'])}"
            )
        read = assemble(checked(unpack(tensors, metadata), str(path)), metadata.get(METHOD, ""))
        if read.strip is None:
            return read
        return replace(read, strip=read.strip.restored(read.factual, read.counterfactual))

    def tensors(self) -> dict[str, Tensor]:
        """What it holds, by the names that `map` tells."""
        tables = {name: getattr(self, name) for name in _TABLES}
        tables["strip"] = {} if self.strip is None else self.strip.tensors()
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in (*tables, METHOD)}
        named |= {f"{table}.{k}": v for table, part in tables.items() for k, v in part.items()}
        return {name: value for name, value in named.items() if value is not None}


def _shown() -> Any:
    """What draws counterfactuals: it lies above, and is loaded when something is to be shown."""
    return import_module("counterfoil.report.notebook")


def metadata_of(path: Path | str) -> dict[str, str]:
    """What was noted in a file of counterfactuals; raises UserError where it cannot be read."""
    with _opened(path) as file:
        return dict(file.metadata() or {})


@contextmanager
def _opened(path: Path | str) -> Iterator[Any]:
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is not a readable safetensors file ({error}); delete it or make it again"
        ) from error


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values."""
    seen = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        seen.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        seen.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return seen.hexdigest()


def _column(table: Mapping[str, Tensor], name: str, like: Tensor) -> Tensor:
    if name in table:
        return table[name]
    still = {"strip.images": table["factual"], "strip.logits": table["factual_logits"]}
    if name in still:
        return still[name][:, None].expand(-1, *like.shape[1:])
    if name.startswith("changes.") or name == "failed":
        return like.new_zeros(len(table["factual"]))
    return unknown(like, len(table["factual"]))


def unknown(like: Tensor, rows: int) -> Tensor:
    """What stands for rows in which nothing was searched: NaN, or -1 where whole numbers are held."""
    return like.new_full((rows, *like.shape[1:]), torch.nan if like.is_floating_point() else -1)


def assemble(tensors: Mapping[str, Tensor], method: str = "") -> Counterfactuals:
    """The counterfactuals that hold these tensors, by the names that `map` calls them, made by a method."""
    named: dict[str, Any] = {table: {} for table in ("strip", *_TABLES)}
    for name, value in tensors.items():
        table, dot, key = name.partition(".")
        (named[table] if dot else named).update({key or table: value})
    strip = named.pop("strip")
    return Counterfactuals(**named, strip=Strip.of(strip) if strip else None, method=method)


def unknown_costs(rows: int) -> dict[str, Tensor]:
    """NaN for each cost field, for counterfactuals that were made elsewhere."""
    return {name: torch.full((rows,), float("nan")) for name in COSTS}
