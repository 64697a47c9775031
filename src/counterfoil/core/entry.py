"""One figure of a table, a plot or a JSON file, with the facts that its metric declares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A value with its interval, its count, and how to write, bound and rank it.

    Attributes:
        value, low, high: the figure and its 95 % interval; None where not defined, as JSON has no NaN.
        n: how many counterfactuals (or queries) it is taken over.
        unit: "%" for shares, which are held in [0, 1] and written times 100; "s", "MB", ...; "" for none.
        higher_is_better: the direction, None where there is none.
        minimum, maximum: the range that value and interval never leave; None: unbounded.
        label: the metric's name for people, "" for one made from its name.
        main: whether it stands among the first columns of a page; the others are unfolded.
        role: what it tells, for plots: "success", "distance", "strip", or "".
        seeds: how many runs it is a mean over.
        measured: how many independent measurements it rests on, where these are fewer than n, as for the
            time of a batch that its rows share; 0: n.
        doubt: why it is not to be ranked, such as a judge no better than chance; "" for what is.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    unit: str = ""
    higher_is_better: bool | None = None
    minimum: float | None = None
    maximum: float | None = None
    label: str = ""
    main: bool = False
    role: str = ""
    seeds: int = 1
    measured: int = 0
    doubt: str = ""

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            object.__setattr__(self, name, _inside(getattr(self, name), self.minimum, self.maximum))

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    @property
    def scale(self) -> int:
        """What the value is multiplied by when it is written: 100 for shares."""
        return 100 if self.unit == "%" else 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values, safe for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Entry:
        """The entry that `as_dict` gave; names that are not known are left out."""
        known = {field.name for field in fields(Entry)}
        return Entry(**{name: value for name, value in values.items() if name in known})


def label(name: str) -> str:
    """A metric's name for people where it declares none: `l1_valid` -> `L1 valid`."""
    return name.replace("_", " ").strip().capitalize()


def _inside(number: float | None, minimum: float | None, maximum: float | None) -> float | None:
    if number is None or not math.isfinite(number):
        return None
    least, most = -math.inf if minimum is None else minimum, math.inf if maximum is None else maximum
    return float(min(max(number, least), most))
