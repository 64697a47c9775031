"""Lets each method explain the query set, writing every batch as it comes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.data.queries import QuerySet
from counterfoil.explainer.base import Explainer


def explain_all(
    explainer: Explainer,
    name: str,
    queries: QuerySet,
    folder: Path,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
    mask: Tensor | None,
) -> Counterfactuals:
    """Explain all rows of a query set; batches whose file is already in `folder` are read instead of computed."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    parts = []
    columns = (
        TextColumn(f"{name:16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task(name, total=len(queries))
        for i, (x, target, query) in enumerate(queries.batches(batch_size)):
            file = folder / f"batch-{i:05d}.safetensors"
            if not file.is_file():
                counterfactual(explainer, x.to(device, dtype), target.to(device), query, mask).save(file)
            parts.append(Counterfactuals.load(file))
            progress.update(task, advance=len(target))
    return Counterfactuals.cat(parts)


def counterfactual(
    explainer: Explainer, x: Tensor, target: Tensor, query: Tensor, mask: Tensor | None
) -> Counterfactuals:
    """One batch's counterfactuals on the CPU in float32, numbered by the query set's own indices."""
    found = explainer(x, target, mask=mask)
    named = {
        name: value.float() if value.is_floating_point() and name not in ("steps", "seconds") else value
        for name, value in vars(found).items()
        if isinstance(value, Tensor)
    }
    named["query"] = query.to(found.query.device)[found.query]
    return Counterfactuals(**named, changes=found.changes, extra=found.extra).to("cpu")
