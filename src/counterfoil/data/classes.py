"""Some classes of a data set in place of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from counterfoil.core.errors import UserError
from counterfoil.core.target import class_index

if TYPE_CHECKING:
    from counterfoil.data.base import Images, Splits


def keep_classes(splits: Splits, classes: Sequence[str | int], name: str) -> Splits:
    """The images of some classes alone, numbered as these are listed.

    Args:
        splits: all images.
        classes: by name or number.
        name: of the data, for errors.

    Raises:
        UserError: a class that the data do not have, fewer than two, or one that is listed twice.
    """
    names = splits.class_names
    kept = [class_index(one, names, len(names), "data.classes") for one in classes]
    if len(set(kept)) != len(kept) or len(kept) < 2:
        raise UserError(
            f"data.classes={list(classes)}: expected at least two different classes of data={name}; "
            f"choose of {', '.join(names)}"
        )
    return replace(
        splits,
        train=_renumbered(splits.train, kept),
        val=None if splits.val is None else _renumbered(splits.val, kept),
        test=_renumbered(splits.test, kept),
        class_names=tuple(names[k] for k in kept),
    )


def _renumbered(images: Images, kept: Sequence[int]) -> Images:
    found = images.labels[:, None] == torch.tensor(kept)
    rows = found.any(1).nonzero()[:, 0]
    part = images.take(rows)
    part.labels = found[rows].int().argmax(1)
    return part
