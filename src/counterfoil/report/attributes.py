"""Which attributes a counterfactual changed: bars, one ranking per target, and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from counterfoil.core.batches import Rows
from counterfoil.core.counterfactuals import Counterfactuals

SHOWN = 6
"""Attributes named beside a counterfactual, those that changed most."""


@dataclass(frozen=True)
class Change:
    """An attribute's change, 1 from absent to present; `text` is unsigned for a mean."""

    name: str
    value: float
    text: str

    @property
    def left(self) -> float:
        """Where the bar begins, in per cent of a track from -1 to 1."""
        return 50 + 50 * max(min(self.value, 0.0), -1.0)

    @property
    def width(self) -> float:
        """Length of the bar, in per cent of the track."""
        return 50 * min(abs(self.value), 1.0)


def changes(counterfactuals: Counterfactuals, row: int) -> tuple[Change, ...]:
    """The largest changes of one counterfactual, () where it declares none."""
    found = sorted(
        ((name, float(value[row])) for name, value in counterfactuals.changes.items()),
        key=lambda part: -abs(part[1]),
    )
    return tuple(Change(name, value, signed(value)) for name, value in found[:SHOWN])


def sentence(target: str, found: Sequence[Change], valid: bool = True, most: int = 3) -> str:
    """The counterfactual in words: `to be read as Smiling: Mouth_Open +0.8, Eyeglasses 0.0`.

    `not yet read as Smiling: ...` where it failed. Where all changes round to nothing, because the code moved
    or the reconstruction alone sufficed, it says so.
    """
    if not found:
        return ""
    still = all(change.text == "0.0" for change in found)
    told = (
        "no attribute changed"
        if still
        else ", ".join(f"{change.name} {change.text}" for change in found[:most])
    )
    return f"{'to be read' if valid else 'not yet read'} as {target}: {told}"


def ranking(counterfactuals: Rows, class_names: Sequence[str]) -> dict[str, list[Change]]:
    """The attributes of each target by mean absolute change over its valid counterfactuals; else {}."""
    table = counterfactuals.changes
    ranked = {}
    for target in sorted(set(counterfactuals.target.tolist())):
        rows = (counterfactuals.target == target) & counterfactuals.valid
        if table and bool(rows.any()):
            means = sorted(
                ((name, float(value[rows].abs().mean())) for name, value in table.items()),
                key=lambda part: -part[1],
            )
            name = str(class_names[target]) if target < len(class_names) else str(target)
            ranked[name] = [Change(attribute, mean, f"{mean:.2f}") for attribute, mean in means]
    return ranked


def signed(value: float) -> str:
    """`+0.8`, `0.0`, `−0.3`: one digit, no sign for what rounds to nothing."""
    rounded = round(value, 1)
    return "0.0" if rounded == 0 else f"{'+' if rounded > 0 else '−'}{abs(rounded):.1f}"
