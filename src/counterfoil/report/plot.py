"""Plots for light and dark pages: drawn in stand-in colours, which each theme replaces by its own."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from counterfoil.core.entry import Entry
from counterfoil.report.format import Methods, fact, title
from counterfoil.report.table import arrow
from counterfoil.util.record import write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SERIES = 8
"""Colours before they repeat; markers repeat with them."""
MARKERS = "os^Dv<>h"
INK, MUTED, LINE = "#010203", "#040506", "#070809"
_PAGE = {INK: "var(--ink)", MUTED: "var(--muted)", LINE: "var(--line)"}
_LIGHT = {INK: "#1b1f24", MUTED: "#59616b", LINE: "#dfe3e8"}
_DARK = {INK: "#e6e9ed", MUTED: "#a2abb6", LINE: "#333a43"}
LIGHT_SERIES = ("#1f5fbf", "#b84e14", "#1a7f4b", "#8b3fb0", "#8a6100", "#c2255c", "#00727f", "#5a5f66")
DARK_SERIES = ("#7fb2ff", "#ffab70", "#5fcf97", "#d69cf5", "#e3c04f", "#ff8fb1", "#4fd0e0", "#b4bac2")

MANY = 12
"""Points from which on names need more room, and a line to what they name."""


def scatter(methods: Methods, x: str, y: str) -> Figure:
    """One metric against another, one labelled point per method that has both, with 95 % intervals."""
    size = {"size": (8.6, 5.4)} if len(methods) > MANY else {}
    figure, axes = canvas(_axis(methods, x), _axis(methods, y), **size)
    points: dict[str, tuple[float, float]] = {}
    for place, (name, row) in enumerate(methods.items()):
        if not all(metric in row and row[metric].known for metric in (x, y)):
            continue
        (px, ex), (py, ey) = (_point(row[metric]) for metric in (x, y))
        axes.errorbar(
            px,
            py,
            xerr=ex,
            yerr=ey,
            fmt=MARKERS[place % SERIES],
            color=series_colour(place),
            ms=6,
            elinewidth=1.1,
            capsize=2.5,
        )
        points[name] = (px, py)
    axes.margins(0.12)
    _name_points(figure, axes, points)
    return figure


def against(x: Sequence[float], series: Mapping[str, Sequence[Entry]], xlabel: str, ylabel: str) -> Figure:
    """Curves with interval bands of one share against another, in [0, 1], with the diagonal.

    Args:
        x: S positions.
        series: name -> S entries; missing figures leave a gap.
        xlabel, ylabel: axis titles.
    """
    figure, axes = canvas(xlabel, ylabel, (5.2, 4.6))
    axes.plot((0, 1), (0, 1), color=MUTED, lw=1.2, ls=(0, (4, 3)), zorder=1)
    _draw_curves(axes, x, series)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    _legend(axes, handles=axes.lines[1:], loc="upper left")
    return figure


def curves(x: Sequence[float], panels: Mapping[str, Mapping[str, Sequence[Entry]]], xlabel: str) -> Figure:
    """Several metrics side by side as in `against`, metric -> name -> S entries, under one legend."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.0 * len(panels), 3.8), layout="constrained")
    figure.patch.set_alpha(0)
    for axes, (metric, series) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        dress(axes, xlabel, _named({name: {metric: entries[0]} for name, entries in series.items()}, metric))
        _draw_curves(axes, x, series)
    _legend(figure, handles=figure.axes[0].lines, loc="outside upper center", ncols=SERIES)
    return figure


def trails(methods: Mapping[str, Sequence[Mapping[str, Entry]]], x: str, y: str) -> Figure:
    """One metric against another as in `scatter`; a line joins the several rows of a method.

    A method of one row is no curve: a grey point with its name beside it, to read the curves by.
    """
    first = {name: rows[0] for name, rows in methods.items()}
    lines = {name: rows for name, rows in methods.items() if len(rows) > 1}
    many = len(lines) > 4
    size = {"size": (7.0, 3.8)} if many else {}
    figure, axes = canvas(_named(first, x), _named(first, y), **size)
    for place, (name, rows) in enumerate(lines.items()):
        (xs, across), (ys, along) = (_joined(rows, metric) for metric in (x, y))
        line = "-" if place < SERIES else "--"  # colours and markers come again
        style, colour = f"{MARKERS[place % SERIES]}{line}", series_colour(place)
        axes.errorbar(
            xs, ys, along, across, fmt=style, color=colour, ms=5, lw=1.6, elinewidth=0.9, label=name
        )
    points: dict[str, tuple[float, float]] = {}
    for name in (name for name in methods if name not in lines):
        (px, ex), (py, ey) = (_point(methods[name][0][metric]) for metric in (x, y))
        axes.errorbar(px, py, ey, ex, fmt="X", color=MUTED, ms=6, elinewidth=0.9)
        points[name] = (px, py)
    if many:
        _legend(figure, loc="outside right upper")
    elif lines:
        _legend(axes)
    axes.margins(0.12)
    drawn = [np.asarray(line.get_xydata()).tolist() for line in axes.lines]
    _name_points(figure, axes, points, around=[point for line in drawn for point in line])
    return figure


def families(
    kinds: Mapping[str, Mapping[str, Sequence[Mapping[str, Entry]]]], points: Methods, x: str, y: str
) -> Figure:
    """Many curves in one picture: a colour for each kind of method, the name at the end of each curve.

    Args:
        kinds: kind -> method -> the rows along its curve.
        points: methods without a curve, as in `trails`.
        x, y: metrics.
    """
    first = {name: rows[0] for curves in kinds.values() for name, rows in curves.items()} | dict(points)
    figure, axes = canvas(_named(first, x), _named(first, y), (8.6, 5.4))
    ends: dict[str, tuple[float, float]] = {}
    colours: dict[str, str] = {}
    for place, (kind, curves) in enumerate(kinds.items()):
        style: dict[str, Any] = {"color": series_colour(place), "marker": MARKERS[place % SERIES]}
        for name, rows in curves.items():
            (xs, _), (ys, _) = (_joined(rows, metric) for metric in (x, y))
            axes.plot(xs, ys, ms=3.5, lw=1.5, **style)
            ends[name], colours[name] = (xs[-1], ys[-1]), series_colour(place)
        axes.plot([], [], ms=5, lw=2, label=kind, **style)
    for name, row in points.items():
        (px, _), (py, _) = (_point(row[metric]) for metric in (x, y))
        axes.plot(px, py, "X", color=MUTED, ms=6)
        ends[name] = (px, py)
    _legend(figure, loc="outside upper center", ncols=2)
    axes.margins(0.08)
    drawn = [np.asarray(line.get_xydata()).tolist() for line in axes.lines]
    _name_points(figure, axes, ends, [point for line in drawn for point in line], colours)
    return figure


def _joined(
    rows: Sequence[Mapping[str, Entry]], metric: str
) -> tuple[list[float], tuple[list[float], list[float]]]:
    """A metric of several rows, and the lower and upper half of each interval."""
    found = [_point(row[metric]) for row in rows]
    low, high = ([half[side][0] for _, half in found] for side in (0, 1))
    return [value for value, _ in found], (low, high)


def inline_svg(figure: Figure, prefix: str) -> str:
    """The figure as an `<svg>` element with the colours of the page's CSS (--ink, --muted, --line, --s0 ...).

    Args:
        figure: made by `scatter` or `curve`.
        prefix: put before each id, so that several figures can stand in one page.
    """
    series = [f"var(--s{i})" for i in range(SERIES)]
    svg = _recoloured(figure, _PAGE, series)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    return re.sub(
        r'(<svg[^>]*?) (?:width|height)="[^"]*"([^>]*?) (?:width|height)="[^"]*"', r"\1\2", svg, count=1
    )


def save_svg(figure: Figure, path: Path | str, dark: bool = False) -> Path:
    """Write a figure as an SVG file with transparent ground for a light or a dark page; whole or absent."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, _recoloured(figure, _DARK if dark else _LIGHT, DARK_SERIES if dark else LIGHT_SERIES))
    return path


def save_both(figure: Figure, path: Path) -> dict[str, Path]:
    """Write `<path>` for light pages and `<path>-dark` for dark ones, by their names."""
    dark = path.with_stem(f"{path.stem}-dark")
    return {path.stem: save_svg(figure, path), dark.stem: save_svg(figure, dark, dark=True)}


def canvas(xlabel: str, ylabel: str, size: tuple[float, float] = (5.2, 3.6)) -> tuple[Figure, Axes]:
    """A figure of one panel, dressed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    dress(axes, xlabel, ylabel)
    return figure, axes


def dress(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Give axes the style of all plots."""
    axes.patch.set_alpha(0)
    axes.grid(color=LINE, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=9, length=3)
    for name, text in (("x", xlabel), ("y", ylabel)):
        getattr(axes, f"set_{name}label")(text, color=INK, fontsize=10, parse_math=False)


def _draw_curves(axes: Axes, x: Sequence[float], series: Mapping[str, Sequence[Entry]]) -> None:
    for place, (name, entries) in enumerate(series.items()):
        middle, low, high = zip(*map(_scaled, entries), strict=True)
        axes.plot(
            x, middle, color=series_colour(place), marker=MARKERS[place % SERIES], ms=4.5, lw=1.6, label=name
        )
        axes.fill_between(x, low, high, color=series_colour(place), alpha=0.15, lw=0)


def _legend(owner: Axes | Figure, **options: Any) -> None:
    legend = owner.legend(frameon=False, fontsize=9, labelcolor=INK, **options)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _axis(methods: Methods, metric: str) -> str:
    ends = {"↑": "(more is better)", "↓": "(less is better)", "": ""}
    return f"{_named(methods, metric)} {ends[arrow(fact(methods, metric).higher_is_better)]}".strip()


def _named(methods: Methods, metric: str) -> str:
    unit = fact(methods, metric).unit
    return f"{title(methods, metric)}, {unit}" if unit else title(methods, metric)


def _point(entry: Entry) -> tuple[float, list[list[float]]]:
    value, low, high = _scaled(entry)
    return value, [
        [max(value - low, 0.0) if low == low else 0.0],
        [max(high - value, 0.0) if high == high else 0.0],
    ]


def _scaled(entry: Entry) -> tuple[float, ...]:
    """Value, low and high in the entry's unit, NaN for what is not known."""
    ends = (entry.value, entry.low, entry.high)
    return tuple(float("nan") if end is None else end * entry.scale for end in ends)


def series_colour(place: int) -> str:
    """The stand-in for a series' colour."""
    return f"#0a0b{place % SERIES:02x}"


def _name_points(
    figure: Figure,
    axes: Axes,
    points: Mapping[str, tuple[float, float]],
    around: Iterable[Sequence[float]] = (),
    colours: Mapping[str, str] | None = None,
) -> None:
    """Write each name by its point, at the first of several places where it meets no other name or point.

    Among many points a name may stand further off, with a thin line to its point.

    Args:
        figure, axes: what is drawn on.
        points: the place of each name.
        around: further points (x, y) that no name shall cover.
        colours: of names that are not written in ink.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.transforms import Bbox

    # lays the figure out, so that positions are known
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    centres = [axes.transData.transform(point) for point in (*points.values(), *around)]
    taken = [Bbox.from_bounds(cx - 6, cy - 6, 12, 12) for cx, cy in centres]
    frame = axes.get_window_extent()
    inside = Bbox.from_extents(frame.x0, frame.y0, figure.bbox.x1, figure.bbox.y1)
    many = len(points) > MANY
    places = [*_NEAR, *_BESIDE, *(_rings() if many else ())]
    for name, point in points.items():
        for place, (dx, dy, align) in enumerate(places):
            text = axes.annotate(
                name,
                point,
                (dx, dy),
                textcoords="offset points",
                ha=align,
                fontsize=9.5,
                color=(colours or {}).get(name, INK),
                parse_math=False,
            )
            box = text.get_window_extent()
            fits = inside.containsx(box.x0) and inside.containsx(box.x1)
            fits = fits and inside.containsy(box.y0) and inside.containsy(box.y1)
            if (fits and not any(box.overlaps(other) for other in taken)) or place == len(places) - 1:
                taken.append(box)
                if many and place >= len(_NEAR):
                    axes.annotate("", point, (dx, dy + 4), textcoords="offset points", arrowprops=_LEADER)
                break
            text.remove()


_NEAR = (
    (8, 5, "left"),
    (-8, 5, "right"),
    (8, -13, "left"),
    (-8, -13, "right"),
    (0, 14, "center"),
    (0, -22, "center"),
)
"""Places of a name around its point, and how it is aligned there; further ones on its right."""
_BESIDE = tuple((8, 5 + 12 * step, "left") for step in (1, -2, 2, -3, 3))
_LEADER = {"arrowstyle": "-", "color": MUTED, "lw": 0.6, "shrinkA": 0, "shrinkB": 4}


def _rings() -> list[tuple[int, int, str]]:
    """Places around a point, further and further off."""
    turns = [math.tau * step / 16 for step in range(16)]
    spots = [
        (round(r * math.cos(a)), round(r * math.sin(a)) - 4) for r in (26, 40, 56, 74, 96) for a in turns
    ]
    return [(dx, dy, "left" if dx > 8 else "right" if dx < -8 else "center") for dx, dy in spots]


def _recoloured(figure: Figure, theme: Mapping[str, str], series: Sequence[str]) -> str:
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "counterfoil", "font.family": "sans-serif"}
    ):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px; font-family: inherit", buffer.getvalue())
    for stand_in, colour in {
        **theme,
        **{series_colour(i): colour for i, colour in enumerate(series)},
    }.items():
        svg = svg.replace(stand_in, colour)
    return svg
