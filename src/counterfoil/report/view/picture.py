"""The same queries explained by each method, side by side, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.core.whole import whole
from counterfoil.report.grid import Pixels, pixels, signed_difference, symmetric_scale
from counterfoil.report.jobs import Job, select
from counterfoil.report.view.base import Shown, View

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Picture(View):
    """Factuals on top, one row of counterfactuals per method; a dashed frame where one is not valid.

    Args:
        methods: rows, in order; None: all of the first job.
        queries: columns, the first ones explained.
        differences: below each row what changed, red for brighter and blue for darker, on one scale for all
            methods.
        where: options that the job shown must have; the first of several is shown.
    """

    def __init__(
        self,
        methods: Sequence[str] | None = None,
        queries: int = 12,
        differences: bool = False,
        where: Mapping[str, Any] | None = None,
    ) -> None:
        self.methods, self.queries, self.differences = methods, queries, differences
        self.where = dict(where or {})

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """One PNG."""
        job = select(jobs, self.where)[0]
        unknown = [method for method in self.methods or () if method not in job.methods]
        if unknown:
            raise UserError(
                f"study: picture of {unknown[0]}, which {job.folder} has not; it has {', '.join(job.methods)}"
            )
        shown = {
            method: job.counterfactuals(method)[: self.queries] for method in self.methods or job.methods
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        figure = draw(shown, job.summary["queries"]["class_names"], self.differences)
        with whole(path) as partial:
            figure.savefig(partial, format="png", dpi=110)
        return Shown(files={name: path})


def draw(shown: Mapping[str, Counterfactuals], names: Sequence[str], differences: bool = False) -> Figure:
    """The picture of these counterfactuals, of the same queries for each method."""
    from matplotlib.figure import Figure

    first = next(iter(shown.values()))
    columns, rows = len(first), 1 + len(shown) * (1 + differences)
    scale = symmetric_scale(torch.cat([cf.largest for cf in shown.values()]))
    figure = Figure(figsize=(1.5 + 0.82 * columns, 0.45 + 0.82 * rows), facecolor="white")
    axes = iter(figure.subplots(rows, columns, squeeze=False, gridspec_kw={"wspace": 0.06, "hspace": 0.06}))
    width, height = figure.get_figwidth(), figure.get_figheight()
    figure.subplots_adjust(left=1.45 / width, right=0.995, top=1 - 0.4 / height, bottom=0.01)
    top = next(axes)
    for axis, source, target in zip(top, first.source.tolist(), first.target.tolist(), strict=True):
        change = f"{names[source]} → {names[target]}"
        short = len(change) < 9
        axis.set_title(change if short else f"→\n{names[target]}", fontsize=10 if short else 8)
    _row(top, pixels(first.factual), "factual")
    for name, cf in shown.items():
        _row(next(axes), pixels(cf.counterfactual), name, cf.valid.tolist())
        if differences:
            _row(next(axes), signed_difference(cf.delta, scale), "")
    return figure


def _row(axes: Any, images: Pixels, label: str, valid: Sequence[bool] = ()) -> None:
    axes[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=10, labelpad=8)
    for axis, image, known in zip(axes, images, valid or [True] * len(images), strict=True):
        axis.imshow(image, interpolation="nearest", cmap="gray", vmin=0, vmax=255)
        axis.set(xticks=[], yticks=[])
        for spine in axis.spines.values():
            spine.set(visible=not known, color="#c0392b", linewidth=2, linestyle=(0, (3, 2)))
