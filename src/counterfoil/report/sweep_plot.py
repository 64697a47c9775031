"""Plots of a sweep: trials and their front, their options side by side, and how much each option matters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from counterfoil.core.entry import Entry, label
from counterfoil.report.format import title
from counterfoil.report.plot import INK, LINE, MUTED, canvas, dress, series_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW = 6
"""Values of an option up to which each has its place on its axis."""


@dataclass(frozen=True)
class Point:
    """A trial.

    Attributes:
        name: of the trial.
        values: option -> value.
        figures: metric -> entry.
        link: the page of its evaluation.
        front: whether no other trial that keeps the constraints beats it.
    """

    name: str
    values: Mapping[str, Any]
    figures: Mapping[str, Entry]
    link: str = ""
    front: bool = False


def trials(points: Sequence[Point], x: str, y: str, named: Mapping[str, str] | None = None) -> Figure:
    """One objective against another; the front is joined, and a point opens its page.

    `named` tells what is written beside a trial: on the better side of the front, which is empty.
    """
    rows = {point.name: point.figures for point in points}
    figure, axes = canvas(_labelled(rows, x), _labelled(rows, y), (6.4, 4.0))
    for front, colour, size in ((False, MUTED, 26), (True, series_colour(0), 46)):
        part = [point for point in points if point.front == front and _known(point, x, y)]
        if not part:
            continue
        places = sorted((_scaled(point, x), _scaled(point, y), point.link) for point in part)
        if front:
            axes.plot([px for px, _, _ in places], [py for _, py, _ in places], color=colour, lw=1.4)
        dots = axes.scatter([px for px, _, _ in places], [py for _, py, _ in places], s=size, color=colour)
        dots.set_urls([link for _, _, link in places])
    left, up = (1 if rows and _higher(rows, metric) else -1 for metric in (x, y))
    for point in points:
        if point.name in (named or {}) and _known(point, x, y):
            side = 1 if point.front else -1
            axes.annotate(
                (named or {})[point.name],
                (_scaled(point, x), _scaled(point, y)),
                (side * left * 6, side * up * 5),
                textcoords="offset points",
                fontsize=9.5,
                color=INK,
                ha="left" if side * left > 0 else "right",
                va="bottom" if side * up > 0 else "top",
            )
    axes.margins(0.1)
    return figure


def parallel(points: Sequence[Point], options: Sequence[str], metrics: Sequence[str]) -> Figure:
    """A line per trial across options and objectives, each axis from its least to its largest value."""
    heads = [*(option.rpartition(".")[2] for option in options), *map(label, metrics)]
    figure, axes = canvas("", "", (1.5 * len(heads) + 1.5, 3.8))
    columns = [_column([point.values.get(option) for point in points]) for option in options]
    columns += [_column([_scaled(point, metric) for point in points]) for metric in metrics]
    for place, point in sorted(enumerate(points), key=lambda pair: pair[1].front):
        heights = [column[0][place] for column in columns]
        axes.plot(
            range(len(heads)),
            heights,
            color=series_colour(0) if point.front else MUTED,
            lw=1.8 if point.front else 0.8,
            alpha=1.0 if point.front else 0.6,
        )
    for place, (_heights, ends) in enumerate(columns):
        axes.axvline(place, color=LINE, lw=1, zorder=0)
        for height, text in ends:
            side = {1.0: 1, 0.0: -1}.get(height, 0)  # above and below the lines, or beside the axis
            axes.annotate(
                text,
                (place, height),
                (0 if side else 4, side * 7),
                textcoords="offset points",
                fontsize=8,
                color=INK,
                ha="center" if side else "left",
                va="center",
            )
    axes.tick_params(axis="x", length=0, pad=12)
    axes.set_xticks(range(len(heads)), heads, color=INK)
    axes.set_yticks([])
    axes.set_xlim(-0.5, len(heads) - 0.5)
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def importances(shares: Mapping[str, Mapping[str, float]]) -> Figure:
    """Bars: objective -> option -> share of what the options explain of it."""
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(4.2 * len(shares), 0.4 * max(map(len, shares.values())) + 1.3), layout="constrained"
    )
    figure.patch.set_alpha(0)
    for place, (axes, (metric, row)) in enumerate(
        zip(figure.subplots(1, len(shares), squeeze=False)[0], shares.items(), strict=True)
    ):
        dress(axes, f"importance for {label(metric)}", "")
        names = sorted(row, key=lambda name: row[name])
        axes.barh(
            [name.rpartition(".")[2] for name in names], [row[n] for n in names], color=series_colour(place)
        )
        axes.grid(False, axis="y")
    return figure


def _labelled(rows: Mapping[str, Mapping[str, Entry]], metric: str) -> str:
    entry = next(row[metric] for row in rows.values() if metric in row)
    return f"{title(rows, metric)}, {entry.unit}" if entry.unit else title(rows, metric)


def _higher(rows: Mapping[str, Mapping[str, Entry]], metric: str) -> bool:
    return any(row[metric].higher_is_better is True for row in rows.values() if metric in row)


def _known(point: Point, *metrics: str) -> bool:
    return all(metric in point.figures and point.figures[metric].known for metric in metrics)


def _scaled(point: Point, metric: str) -> float:
    entry = point.figures.get(metric)
    return math.nan if entry is None or entry.value is None else entry.value * entry.scale


def _column(values: Sequence[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """Heights in [0, 1] of a column's values, and the height and text of what is written on its axis."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):  # names, in order of their first use
        names = list(dict.fromkeys(map(str, values)))
        heights = {name: place / max(len(names) - 1, 1) for place, name in enumerate(names)}
        return [heights[str(value)] for value in values], [(height, name) for name, height in heights.items()]
    known = [float(number) for number in numbers if math.isfinite(number)]
    if not known:
        return [math.nan for _ in values], []
    few = sorted(set(known))
    if 1 < len(few) <= FEW < len(values) / 2:  # of a list, such as 0.9, 0.99, 0.999: apart, whatever they are
        places = {value: place / (len(few) - 1) for place, value in enumerate(few)}
        return [places.get(float(v), math.nan) for v in values], [(h, f"{v:.4g}") for v, h in places.items()]
    low, high = min(known), max(known)
    wide = low > 0 and high / low > 20
    scale = math.log if wide else float
    span = scale(high) - scale(low)
    found = [(scale(float(v)) - scale(low)) / span if span and math.isfinite(v) else 0.5 for v in values]
    return found, [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")] if span else [(0.5, f"{low:.4g}")]
