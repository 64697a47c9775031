"""Strips as one picture to keep: images, the posterior written under each, and difference maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from counterfoil.core.batches import Rows
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.report.format import probability
from counterfoil.report.gallery import common_queries
from counterfoil.report.grid import (
    Pixels,
    enlarge,
    grid,
    pixels,
    save_png,
    signed_difference,
    symmetric_scale,
)
from counterfoil.report.plot import save_svg
from counterfoil.report.strips import Walk, compatibility_figure, images_of, read_strips, with_strips

SIDE = 84
"""Pixels that a tile is at least wide."""
_GAP, _LINE, _MARGIN = 6, 22, 16
_INK, _MUTED, _ACCENT, _GOOD = (27, 31, 36), (89, 97, 107), (31, 95, 191), (24, 112, 63)


def save_strips(
    folder: Path,
    methods: Mapping[str, Rows],
    class_names: Sequence[str],
) -> list[Path]:
    """Write <method>.png of each method with strips; the queries are those of the page.

    Where posteriors were requested, <method>-compatibility.svg and -dark.svg too.

    Returns:
        the files written, [] where no method has strips.
    """
    explained = {name: counterfactuals for name, counterfactuals in methods.items() if len(counterfactuals)}
    queries = common_queries(explained) if explained else []
    files: list[Path] = []
    for name, counterfactuals in explained.items():
        shown = with_strips(counterfactuals, queries)
        if shown is not None:
            scale = symmetric_scale(counterfactuals.largest)
            picture = draw_strips(shown, read_strips(shown, class_names), scale)
            files.append(save_png(folder / f"{name}.png", picture))
        figure = compatibility_figure(counterfactuals)
        if figure is not None:
            for end, dark in (("", False), ("-dark", True)):
                files.append(save_svg(figure, folder / f"{name}-compatibility{end}.svg", dark))
    return files


def draw_strips(counterfactuals: Counterfactuals, strips: Sequence[Walk], scale: float) -> Pixels:
    """A row of images and a row of difference maps per strip.

    Above them stands what was requested, between them what the classifier says.

    Args:
        counterfactuals: with strips.
        strips: those to draw, at least one.
        scale: the change drawn in full colour.

    Returns:
        (height, width, 3) on white; green figures: the classifier decides for the target; framed: the
        counterfactual.
    """
    from PIL import Image, ImageDraw

    rows = [_rows(counterfactuals, strip, scale) for strip in strips]
    high, wide = rows[0][0].shape[:2]
    side = (wide + _GAP) // (len(strips[0].frames) + 1)
    step = 2 * (_LINE + high) + _MARGIN
    canvas = Image.new("RGB", (wide + 2 * _MARGIN, len(strips) * step + _MARGIN), "white")
    for place, (strip, (images, changes)) in enumerate(zip(strips, rows, strict=True)):
        top = _MARGIN + place * step
        canvas.paste(Image.fromarray(images), (_MARGIN, top + _LINE))
        canvas.paste(Image.fromarray(changes), (_MARGIN + side, top + 2 * _LINE + high))
        _write(ImageDraw.Draw(canvas), strip, top, side, high)
    return np.asarray(canvas)


def _rows(counterfactuals: Counterfactuals, strip: Walk, scale: float) -> tuple[Pixels, Pixels]:
    """Factual and images, and the images' differences, each in a row."""
    factual, along = images_of(counterfactuals, strip.row)
    factor = -(-SIDE // factual.shape[-1])
    made = pixels(torch.cat((factual, along))), signed_difference(along - factual, scale)
    images, changes = (
        grid(np.stack([enlarge(tile, factor) for tile in part]), columns=len(part), pad=_GAP) for part in made
    )
    return images, changes


def _write(draw: Any, strip: Walk, top: int, side: int, high: int) -> None:
    """The words of one strip, and a frame around its counterfactual."""
    width, under = side - _GAP, top + _LINE + high
    plain, small, bold = _font("DejaVu Sans"), _font("DejaVu Sans", 10), _font("DejaVu Sans:bold")
    centred = partial(draw.text, anchor="mm")
    centred((_MARGIN + width / 2, top + _LINE / 2), f"{strip.source} → {strip.target}", fill=_INK, font=bold)
    centred((_MARGIN + width / 2, under + _LINE / 2), probability(strip.start), fill=_MUTED, font=plain)
    for column, frame in enumerate(strip.frames, start=1):
        left = _MARGIN + column * side
        middle, ink = left + width / 2, _GOOD if frame.decided else _INK
        if frame.requested is not None:
            centred((middle, top + _LINE / 2), f"requested {frame.requested:.2f}", fill=_MUTED, font=small)
        centred((middle, under + _LINE / 2), probability(frame.said), fill=ink, font=bold)
        if frame.returned:
            draw.rectangle((left - 3, top + _LINE - 3, left + width + 2, under + 2), outline=_ACCENT, width=2)


def _font(pattern: str, size: int = 13) -> Any:
    """A font that matplotlib brings along, so that the picture is the same on every machine."""
    from matplotlib.font_manager import findfont
    from PIL import ImageFont

    return ImageFont.truetype(findfont(pattern), size)
