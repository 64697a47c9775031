"""What a notebook shows of counterfactuals: a picture, a figure, a table, a film."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.core.whole import whole
from counterfoil.report.grid import (
    data_uri,
    enlarge,
    grid,
    overview,
    pixels,
    signed_difference,
    symmetric_scale,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 8
"""Rows that a picture shows where nothing is said."""
SIDE = 64
"""Least width of an image in pixels of the screen."""
HOLD = 4
"""Frames for which a film stands at its end."""


def html(cf: Counterfactuals, rows: int = SHOWN) -> str:
    """Factual, counterfactual and signed difference of the first rows, below the summary."""
    told = escape(repr(cf))
    if not len(cf):
        return f"<div>{told}</div>"
    address = data_uri(overview(cf, rows, SIDE))
    alt = "factual, counterfactual and signed difference, one column per row"
    return f'<div>{told}</div><img alt="{alt}" src="{address}">'


def figure(cf: Counterfactuals, rows: int = SHOWN, class_names: Sequence[str] | None = None) -> Figure:
    """The same as a figure of matplotlib, with decision, target and probability above each column."""
    part = cf[:rows]
    if not len(part):
        raise UserError("there is no counterfactual to draw")
    tiles = {
        "factual": pixels(part.factual),
        "counterfactual": pixels(part.counterfactual),
        "difference": signed_difference(part.delta, symmetric_scale(part.largest)),
    }
    drawn = _shown_figure()(figsize=(1.3 * len(part) + 0.4, 4.4), layout="constrained")
    axes = drawn.subplots(len(tiles), len(part), squeeze=False)
    probability = part.target_probability.tolist()
    for column in range(len(part)):
        for row, (name, images) in enumerate(tiles.items()):
            panel = axes[row][column]
            panel.imshow(images[column])
            panel.set_xticks([])
            panel.set_yticks([])
            if column == 0:
                panel.set_ylabel(name, parse_math=False)
        source, target = (_name(int(of[column]), class_names) for of in (part.source, part.target))
        held = "" if bool(part.valid[column]) else "  not valid"
        axes[0][column].set_title(
            f"{source} → {target}\n{probability[column]:.2f}{held}", fontsize=9, parse_math=False
        )
    return drawn


@cache
def _shown_figure() -> type[Figure]:
    """Figures that a notebook shows though pyplot was never imported."""
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _repr_png_(self) -> bytes:
            written = BytesIO()
            self.savefig(written, format="png", dpi=100)
            return written.getvalue()

    return Shown


def columns(cf: Counterfactuals) -> dict[str, list[Any]]:
    """Plain values of each row by name: its query and target, whether it is valid, distances and costs."""
    change = cf.delta.flatten(1).abs()
    told: dict[str, Tensor] = {
        "query": cf.query,
        "source": cf.source,
        "target": cf.target,
        "valid": cf.valid,
        "failed": torch.zeros_like(cf.valid) if cf.failed is None else cf.failed,
        "target_probability": cf.target_probability,
        "l1": change.mean(1),
        "linf": change.amax(1),
        **{name: getattr(cf, name) for name in ("steps", "seconds", "classifier_calls", "peak_memory_mb")},
        **{f"change_{name}": value for name, value in cf.changes.items()},
    }
    return {name: value.detach().cpu().tolist() for name, value in told.items()}


def frame(table: dict[str, list[Any]]) -> Any:
    """Columns as a pandas.DataFrame.

    Raises:
        UserError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise UserError(
            "to_frame() needs the package pandas: pip install pandas, or take to_dict()"
        ) from error
    return pandas.DataFrame(table)


def film(cf: Counterfactuals, path: Path | str, rows: int = SHOWN, seconds: float = 0.2) -> Path:
    """The images of strips one after the other, as a GIF that repeats.

    Args:
        cf: with strips, as of `progressive` and `xgem`.
        path: ends in .gif.
        rows: side by side.
        seconds: between two images.

    Raises:
        UserError: there are no strips.
    """
    from PIL import Image

    path = Path(path)
    if cf.strip is None or not len(cf):
        raise UserError(
            "animate() needs the images on the way to a counterfactual, which this method does not give; "
            "latent_shift, progressive and xgem do"
        )
    if path.suffix.lower() != ".gif":
        raise UserError(f"{path}: expected a name that ends in .gif")
    steps = cf.strip.images[:rows].transpose(0, 1)
    factor = max(1, -(-SIDE // steps.shape[-1]))
    shots = [enlarge(grid(images, columns=len(images)), factor) for images in steps]
    frames = [Image.fromarray(np.ascontiguousarray(shot)) for shot in [*shots, *[shots[-1]] * (HOLD - 1)]]
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        frames[0].save(
            partial,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=round(1000 * seconds),
            loop=0,
        )
    return path


def _name(label: int, class_names: Sequence[str] | None) -> str:
    return str(label) if class_names is None else class_names[label]
