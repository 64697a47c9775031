"""Strips of images on the way to a counterfactual, with posteriors and differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from counterfoil.core.batches import Rows
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.entry import Entry
from counterfoil.core.query import probability_of, reaches
from counterfoil.core.strip import Posteriors, Strip
from counterfoil.metric.compatibility import curve
from counterfoil.report.format import Methods, finite, title
from counterfoil.report.gallery import shrink
from counterfoil.report.grid import Pixels, data_uri, difference_layer, grid, pixels
from counterfoil.report.plot import against, inline_svg
from counterfoil.report.table import interval, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 5
"""Strips on the page and in the picture."""
_SAME = 0.01
_WIDTH, _SMOOTH = 96, 48


@dataclass(frozen=True)
class Frame:
    """One image of a strip.

    Attributes:
        requested, obtained: posteriors of the target, on the scale of the requests; None where nothing was
            requested.
        own: the classifier's own posterior of the target.
        decided: whether the classifier decides for the target.
        returned: whether this is the counterfactual.
    """

    requested: float | None
    obtained: float | None
    own: float
    decided: bool
    returned: bool

    @property
    def said(self) -> float:
        """The posterior written under the image: on the scale of the request, where there is one."""
        return self.own if self.obtained is None else self.obtained


@dataclass(frozen=True)
class Walk:
    """A factual and the images on the way from it, by their row in the counterfactuals shown.

    `start` is the classifier's posterior of the target on the factual.
    """

    row: int
    query: int
    source: str
    target: str
    start: float
    frames: tuple[Frame, ...]


def with_strips(counterfactuals: Rows, queries: Sequence[int]) -> Counterfactuals | None:
    """The first counterfactual to each of these queries, the first `SHOWN` of them that have a strip.

    None for a method without strips.
    """
    order = counterfactuals.query.tolist()
    rows = [order.index(query) for query in queries if query in order]
    walked = counterfactuals.walked
    chosen = [row for row in rows if bool(walked[row])][:SHOWN]
    return counterfactuals[torch.tensor(chosen)] if chosen else None


def read_strips(shown: Counterfactuals, class_names: Sequence[str]) -> list[Walk]:
    """The strips of the counterfactuals shown."""
    assert shown.strip is not None
    read = shown.posteriors
    start = probability_of(shown.factual_logits, shown.target).tolist()
    names = [[_name(class_names, i) for i in part.tolist()] for part in (shown.source, shown.target)]
    return [
        Walk(i, int(shown.query[i]), names[0][i], names[1][i], start[i], _frames(shown, shown.strip, read, i))
        for i in range(len(shown))
    ]


def _frames(cf: Counterfactuals, strip: Strip, read: Posteriors | None, row: int) -> tuple[Frame, ...]:
    assert strip.logits is not None
    handed_back = (strip.images[row] == cf.counterfactual[row]).flatten(1).all(1)
    first = int(handed_back.int().argmax()) if bool(handed_back.any()) else -1
    target = cf.target[row].expand(len(strip.logits[row]))
    own, decided = probability_of(strip.logits[row], target), reaches(strip.logits[row], target)
    known = [_known(part, row, len(own)) for part in (read or (None, None))[:2]]
    returned = [step == first for step in range(len(own))]
    return tuple(map(Frame, *known, own.tolist(), decided.tolist(), returned))


def _known(values: Tensor | None, row: int, steps: int) -> list[float | None]:
    """What was requested or obtained along a strip, None where nothing was requested."""
    found = [] if values is None else values[row].tolist()
    return [value if finite(value) else None for value in found] or [None] * steps


def _name(class_names: Sequence[str], index: int) -> str:
    return str(class_names[index]) if index < len(class_names) else str(index)


def sheet(counterfactuals: Counterfactuals, strips: Sequence[Walk], scale: float) -> Pixels:
    """All strips below one another as see-through tiles, two rows per strip, S + 1 columns.

    First row: the factual and S images; second row: nothing, and each image's signed difference, fully opaque
    from `scale` on.
    """
    rows = [_tiles(*images_of(counterfactuals, strip.row), scale) for strip in strips]
    return grid(torch.cat(rows).numpy(), columns=len(strips[0].frames) + 1, pad=0)


def images_of(counterfactuals: Counterfactuals, row: int) -> tuple[Tensor, Tensor]:
    """A row's factual (1, C, H, W) and the images of its strip (S, C, H, W), small enough to show."""
    assert counterfactuals.strip is not None
    return shrink(counterfactuals.factual[row][None]), shrink(counterfactuals.strip.images[row])


def _tiles(factual: Tensor, along: Tensor, scale: float) -> Tensor:
    images = torch.from_numpy(pixels(torch.cat((factual, along))))
    opaque = torch.cat((images, torch.full_like(images[..., :1], 255)), -1)
    return torch.cat(
        (opaque, torch.zeros_like(opaque[:1]), torch.from_numpy(difference_layer(along - factual, scale)))
    )


@dataclass(frozen=True)
class StripView:
    """All that the page shows of one method's strips.

    `sheet` is an address of their pictures, `columns` the pictures in a row of it, `width` theirs on the page
    in CSS pixels; `plot` is the compatibility plot as SVG, or None; `figures` the metrics beside it as (name,
    value, interval).
    """

    strips: tuple[Walk, ...]
    sheet: str
    columns: int
    width: int
    smooth: bool
    plot: str | None
    figures: tuple[tuple[str, str, str], ...]

    @property
    def calibrated(self) -> bool:
        """Whether the posterior requested lies on another scale than the classifier's own."""
        return any(abs(frame.said - frame.own) > _SAME for strip in self.strips for frame in strip.frames)

    @property
    def requested(self) -> bool:
        """Whether a posterior was requested of the images."""
        return any(frame.requested is not None for strip in self.strips for frame in strip.frames)


def strip_view(
    name: str,
    counterfactuals: Rows,
    queries: Sequence[int],
    class_names: Sequence[str],
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
        methods: the "methods" part of metrics.json.
        scale: the change drawn in full colour.
        prefix: of the plot's ids, which no other figure of the page may have.
    """
    from markupsafe import Markup

    shown = with_strips(counterfactuals, queries)
    if shown is None:
        return None
    strips = read_strips(shown, class_names)
    made = sheet(shown, strips, scale)
    side = made.shape[1] // (len(strips[0].frames) + 1)
    whole = side < _SMOOTH
    figure = compatibility_figure(counterfactuals)
    return StripView(
        tuple(strips),
        data_uri(made, side if whole else 2 * _SMOOTH),
        len(strips[0].frames) + 1,
        side * max(1, _WIDTH // side) if whole else _WIDTH,
        not whole,
        None if figure is None else Markup(inline_svg(figure, prefix)),
        tuple((title(methods, m), number(e.value, e.unit), interval(e)) for m, e in _followed(methods, name)),
    )


def compatibility_figure(counterfactuals: Rows) -> Figure | None:
    """Obtained against requested posterior, by groups of the factual's bins; None without requests."""
    read = counterfactuals.posteriors
    x, series = ([], {}) if read is None else curve(read)
    return against(x, series, "posterior requested", "posterior obtained") if series else None


def _followed(methods: Methods, name: str) -> list[tuple[str, Entry]]:
    return [(metric, e) for metric, e in methods.get(name, {}).items() if e.role == "strip" and e.known]
