"""The kinds of metric: per counterfactual, per set of them, and figures with an interval of their own."""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from counterfoil.core.bounds import checks_options
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.domain import Domain
from counterfoil.core.entry import Entry


@checks_options
class _Facts(Metric):
    """What a metric declares of its figures; each becomes part of every `Entry`.

    Attributes:
        name: what the metric is reported as.
        label: its name for people; "" makes one of `name`.
        unit: "%" for shares, which are held in [0, 1] and written times 100; "" for none.
        higher_is_better: the direction, None where there is none.
        minimum, maximum: the range that the figure and its interval never leave.
        main: whether it stands among the first columns of a page.
        role: what it tells, for plots: "success", "distance", "strip", or "".
        reads: the kind of input that it makes sense of.
    """

    name: ClassVar[str]
    label: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    minimum: ClassVar[float | None] = None
    maximum: ClassVar[float | None] = None
    main: ClassVar[bool] = False
    role: ClassVar[str] = ""
    reads: ClassVar[type[Domain]] = Domain

    full_state_update = False
    is_differentiable = False

    @property
    def doubt(self) -> str:
        """Why the figure of what was seen so far is not to be ranked, "" where it may be."""
        return ""

    def entry(self, value: float, low: float, high: float, n: int) -> Entry:
        """A figure of this metric, with the facts declared."""
        return Entry(
            value,
            low,
            high,
            n,
            self.unit,
            self.higher_is_better,
            self.minimum,
            self.maximum,
            self.label,
            self.main,
            self.role,
            doubt=self.doubt,
        )


class SampleMetric(_Facts):
    """One number per counterfactual; a subclass writes `score` and declares the facts below.

    A value that is NaN or infinite is *not defined* for its row: it stays in `values` and leaves mean and
    count. Put several into one `torchmetrics.MetricCollection` only with `compute_groups=False`: by default
    the collection merges metrics whose states are equal after the first batch, and from then on reports one
    for the other.

    A row that failed (see `Counterfactuals.failed`) shows its factual, which would flatter a distance: it has
    the worst value where more is better and the least is known, such as 0 of a share of successes; elsewhere
    it is not defined.

    Attributes:
        failure: the value of a row that failed; None: what `score` says, as for costs.
        boolean: every value is 0 or 1, so that the mean is a share: its unit is "%", its range [0, 1].
        also_valid: the value over the valid rows alone is reported too, as `<name>_valid`.
        aggregate: how rows become one number.
        shared: rows of a batch share one measurement, so equal values side by side count as one.
    """

    failure: ClassVar[float | None] = math.nan
    boolean: ClassVar[bool] = False
    also_valid: ClassVar[bool] = False
    aggregate: ClassVar[Literal["mean", "max"]] = "mean"
    shared: ClassVar[bool] = False

    _values: list[Tensor]
    _valid: list[Tensor]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.boolean:
            cls.unit, cls.minimum, cls.maximum = "%", 0.0, 1.0
        if "failure" not in vars(cls) and cls.failure is not None:
            cls.failure = cls.minimum if cls.higher_is_better and cls.minimum is not None else math.nan

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("_values", default=[], dist_reduce_fx="cat")
        self.add_state("_valid", default=[], dist_reduce_fx="cat")

    @abstractmethod
    def score(self, cf: Counterfactuals) -> Tensor:
        """The value of each of B >= 1 rows: (B,), NaN where the metric is not defined."""

    def update(self, cf: Counterfactuals) -> None:
        """Score a batch of counterfactuals and keep values and validity."""
        if len(cf) == 0:
            return
        values = self.score(cf).detach()
        if values.shape != (len(cf),):
            raise ValueError(
                f"{type(self).__name__}.score must return ({len(cf)},), found {tuple(values.shape)}"
            )
        values = values if values.is_floating_point() else values.float()
        if cf.failed is not None and self.failure is not None:
            failed = cf.failed.to(values.device)
            values = torch.where(failed & ~values.isnan(), self.failure, values)
        self._values.append(values.clone())  # a view would keep the whole batch
        self._valid.append(cf.valid)

    def compute(self) -> Tensor:
        """The aggregate of all defined values, NaN where there are none."""
        return self.reduce(self.values)

    @classmethod
    def reduce(cls, values: Tensor) -> Tensor:
        """The aggregate of the finite `values` (N,), in float64 on the CPU; NaN where there are none."""
        defined = values.detach().cpu().double()
        defined = defined[defined.isfinite()]
        return defined.max() if cls.aggregate == "max" and len(defined) else defined.mean()

    @property
    def values(self) -> Tensor:
        """The value of each row so far, in order: (N,)."""
        return dim_zero_cat(self._values) if len(self._values) else torch.zeros(0)

    @property
    def valid(self) -> Tensor:
        """Whether each row so far is valid: bool (N,)."""
        return dim_zero_cat(self._valid) if len(self._valid) else torch.zeros(0, dtype=torch.bool)


class SetMetric(_Facts):
    """One number per set of counterfactuals; a subclass writes `embed` and `weighted` and declares the facts.

    Features are kept row by row, so that the number can be had for any rows, repeated ones included. Rows
    that failed, or with a feature that is not finite, are left out of it.

    Attributes:
        fewest: counterfactuals below which the number means nothing and is not ranked.
    """

    fewest: int = 0

    _features: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("_features", default=[], dist_reduce_fx="cat")

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """Features (B, D) of images (B, C, H, W) in [0, 1]."""

    @abstractmethod
    def weighted(self, weights: Tensor) -> Tensor:
        """The number (R,) of R multisets of rows, NaN where not defined; weights (R, N) count each row."""

    def update(self, cf: Counterfactuals) -> None:
        """Keep the features of a batch of counterfactuals."""
        if len(cf):
            self.keep(cf, self.embed(cf.counterfactual).detach())

    def keep(self, cf: Counterfactuals, features: Tensor) -> None:
        """Keep features (B, D) of a batch, NaN in rows that failed."""
        if cf.failed is not None:
            features = features.masked_fill(cf.failed[:, None].to(features.device), torch.nan)
        self._features.append(features)

    def compute(self) -> Tensor:
        """The number for all rows, NaN where it is not defined."""
        return self.weighted(torch.ones(1, len(self.features), dtype=torch.float64))[0]

    def statistic(self, rows: Tensor) -> float:
        """The number for the rows (M,) int64 alone; a row named twice counts twice."""
        return float(
            self.weighted(torch.bincount(rows.cpu(), minlength=len(self.features)).double()[None])[0]
        )

    @property
    def features(self) -> Tensor:
        """Features of the rows so far, in order: float64 (N, D) on the CPU; narrower ones end in NaN."""
        held = [self._features] if isinstance(self._features, Tensor) else self._features
        parts = [part.cpu().double() for part in held] or [torch.zeros(0, 1, dtype=torch.float64)]
        width = max(part.shape[1] for part in parts)
        return torch.cat([pad(part, (0, width - part.shape[1]), value=torch.nan) for part in parts])

    @property
    def doubt(self) -> str:
        """Too few counterfactuals."""
        n = int(self.usable.sum())
        return f"{self.name}: {n} counterfactuals, expected {self.fewest} or more" if n < self.fewest else ""

    @property
    def usable(self) -> Tensor:
        """Whether all features of a row are finite: bool (N,)."""
        return self.features.isfinite().all(1)


class Figure(NamedTuple):
    """A value with its interval and count; NaN where not defined."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0


class FigureMetric(_Facts):
    """A figure that makes its interval itself; a subclass writes `figure`, and perhaps `update`.

    Figures of a classifier or a generator on the data are of this kind too: they read no counterfactual, are
    computed once and are the same in the row of every method.
    """

    def update(self, cf: Counterfactuals) -> None:
        """Keep what is needed of a batch of counterfactuals; nothing by default."""

    @abstractmethod
    def figure(self) -> Figure:
        """The figure of all counterfactuals so far, with its interval."""

    def compute(self) -> Tensor:
        """The value of the figure, NaN where it is not defined."""
        return torch.tensor(self.figure().value, dtype=torch.float64)


AnyMetric = SampleMetric | SetMetric | FigureMetric


def describe(metric: AnyMetric | type[AnyMetric]) -> str:
    """The metric in one line, for a glossary: the first line of its docstring."""
    cls = metric if isinstance(metric, type) else type(metric)
    return (inspect.getdoc(cls) or cls.__name__).splitlines()[0]
