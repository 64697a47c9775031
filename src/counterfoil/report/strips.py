"""Strips of images along the way to a counterfactual, what the classifier says to each, and what each changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.compatibility import Posteriors, curve
from counterfoil.report.format import Entry, Methods, finite, interval, label, number
from counterfoil.report.gallery import shrink
from counterfoil.report.grid import Pixels, data_uri, difference_layer, grid, pixels
from counterfoil.report.plot import against, inline_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 5
"""Strips on the page and in the picture."""
FIGURES = (
    "compatibility_rho",
    "compatibility_mae",
    "compatibility_mse",
    "compatibility_inside",
    "extreme_validity",
    "extreme_judge_agreement",
)
"""Metrics named beside the compatibility plot, where they were measured."""
_SAME = 0.01
_WIDTH, _SMOOTH = 96, 48


class Reading(NamedTuple):
    """What the classifier says to the images of `path`.

    Attributes:
        start: (N,) its probability of the target on the factual.
        probability: (N, S) its probability of the target on each image.
        decided: bool (N, S), whether it decides for the target.
        posteriors: requested and obtained calibrated posteriors, for a method that asks for them; else None.
    """

    start: Tensor
    probability: Tensor
    decided: Tensor
    posteriors: Posteriors | None = None


@dataclass(frozen=True)
class Frame:
    """One image of a strip; what is not known is None. `counterfactual` marks the image that was handed back."""

    asked: float | None
    obtained: float | None
    own: float | None
    decided: bool
    returned: bool

    @property
    def said(self) -> float | None:
        """The posterior written under the image: the one on the scale of the request, where there is a request."""
        return self.own if self.obtained is None else self.obtained


@dataclass(frozen=True)
class Strip:
    """A factual and the images on the way from it, by their row in the counterfactuals."""

    row: int
    query: int
    source: str
    target: str
    start: float | None
    frames: tuple[Frame, ...]


def first_rows(counterfactuals: Counterfactuals, queries: Sequence[int]) -> list[int]:
    """The row of the first counterfactual to each of these queries that was explained."""
    asked = counterfactuals.query.tolist()
    return [asked.index(query) for query in queries if query in asked]


def read_strips(
    counterfactuals: Counterfactuals, rows: Sequence[int], class_names: Sequence[str], reading: Reading | None
) -> list[Strip]:
    """The strips of the first `SHOWN` of these rows that were searched; [] for a method without `path`."""
    if counterfactuals.path is None:
        return []
    moving = [row for row in rows if bool((counterfactuals.path[row] != counterfactuals.factual[row]).any())]
    return [_strip(counterfactuals, row, class_names, reading) for row in moving[:SHOWN]]


def _strip(
    counterfactuals: Counterfactuals, row: int, class_names: Sequence[str], reading: Reading | None
) -> Strip:
    assert counterfactuals.path is not None
    handed_back = (counterfactuals.path[row] == counterfactuals.counterfactual[row]).flatten(1).all(1)
    first = int(handed_back.int().argmax()) if bool(handed_back.any()) else -1
    frames = tuple(_frame(reading, row, step, step == first) for step in range(counterfactuals.path.shape[1]))
    source, target = (
        _name(class_names, int(part[row])) for part in (counterfactuals.source, counterfactuals.target)
    )
    return Strip(
        row,
        int(counterfactuals.query[row]),
        source,
        target,
        None if reading is None else float(reading.start[row]),
        frames,
    )


def _frame(reading: Reading | None, row: int, step: int, returned: bool) -> Frame:
    if reading is None:
        return Frame(None, None, None, False, returned)
    asked, obtained = (_known(part, row, step) for part in (reading.posteriors or (None, None))[:2])
    return Frame(
        asked, obtained, float(reading.probability[row, step]), bool(reading.decided[row, step]), returned
    )


def _known(values: Tensor | None, row: int, step: int) -> float | None:
    value = None if values is None else float(values[row, step])
    return value if finite(value) else None


def _name(class_names: Sequence[str], index: int) -> str:
    return str(class_names[index]) if index < len(class_names) else str(index)


def sheet(counterfactuals: Counterfactuals, strips: Sequence[Strip], scale: float) -> Pixels:
    """All strips below one another as see-through tiles, two rows a strip, S + 1 columns.

    First row: the factual and S images; second row: nothing, and each image's signed difference, fully opaque from `scale` on.
    """
    assert counterfactuals.path is not None
    rows = [
        _tiles(
            shrink(counterfactuals.factual[strip.row][None]), shrink(counterfactuals.path[strip.row]), scale
        )
        for strip in strips
    ]
    return grid(torch.cat(rows).numpy(), columns=counterfactuals.path.shape[1] + 1, pad=0)


def _tiles(factual: Tensor, path: Tensor, scale: float) -> Tensor:
    images = torch.from_numpy(pixels(torch.cat((factual, path))))
    opaque = torch.cat((images, torch.full_like(images[..., :1], 255)), -1)
    return torch.cat(
        (opaque, torch.zeros_like(opaque[:1]), torch.from_numpy(difference_layer(path - factual, scale)))
    )


@dataclass(frozen=True)
class StripView:
    """All that the page shows of one method's strips.

    `sheet` is an address of their pictures, `columns` the pictures in a row of it, `width` theirs on the page in CSS pixels; `plot` is the
    compatibility plot as SVG, or None; `figures` the metrics beside it as (name, value, interval).
    """

    strips: tuple[Strip, ...]
    sheet: str
    columns: int
    width: int
    smooth: bool
    plot: str | None
    figures: tuple[tuple[str, str, str], ...]

    @property
    def calibrated(self) -> bool:
        """Whether the posterior requested lies on another scale than the classifier's own."""
        pairs = ((frame.obtained, frame.own) for strip in self.strips for frame in strip.frames)
        return any(
            obtained is not None and own is not None and abs(obtained - own) > _SAME
            for obtained, own in pairs
        )

    @property
    def asked(self) -> bool:
        """Whether the images were requested a posterior."""
        return any(frame.asked is not None for strip in self.strips for frame in strip.frames)


def strip_view(
    name: str,
    counterfactuals: Counterfactuals,
    queries: Sequence[int],
    class_names: Sequence[str],
    reading: Reading | None,
    methods: Methods,
    scale: float,
    prefix: str = "strips",
) -> StripView | None:
    """What to show of a method's strips, None where it has none.

    Args:
        name: of the method.
        counterfactuals: its counterfactuals.
        queries: those to show, in order; the first counterfactual to each.
        class_names: names of the K classes.
        reading: what the classifier says to the images, or None.
        methods: the "methods" part of metrics.json.
        scale: the change drawn in full colour.
        prefix: of the plot's ids, which no other figure of the page may have.
    """
    from markupsafe import Markup

    strips = read_strips(counterfactuals, first_rows(counterfactuals, queries), class_names, reading)
    if not strips:
        return None
    made = sheet(counterfactuals, strips, scale)
    side = made.shape[1] // (len(strips[0].frames) + 1)
    whole = side < _SMOOTH
    figure = (
        None if reading is None or reading.posteriors is None else compatibility_figure(reading.posteriors)
    )
    return StripView(
        tuple(strips),
        data_uri(made, side if whole else 2 * _SMOOTH),
        len(strips[0].frames) + 1,
        side * max(1, _WIDTH // side) if whole else _WIDTH,
        not whole,
        None if figure is None else Markup(inline_svg(figure, prefix)),
        tuple((label(m), number(e["value"], m), interval(e, m)) for m, e in _followed(methods, name)),
    )


def compatibility_figure(posteriors: Posteriors) -> Figure | None:
    """Obtained against requested posterior, a curve a group of the factual's bins; None where nothing was requested."""
    x, series = curve(posteriors)
    return against(x, series, "posterior requested", "posterior obtained") if series else None


def _followed(methods: Methods, name: str) -> list[tuple[str, Entry]]:
    row = methods.get(name, {})
    return [
        (metric, row[metric]) for metric in FIGURES if row.get(metric) and finite(row[metric].get("value"))
    ]
