"""The attributes a generative model edits: the data's own, else the class and the shape of the stroke."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch, ImageData
from counterfoil.data.shape import NAMES, ShapeScale

SAMPLE = 5_000
"""The most training images whose shapes set the scale."""


def offered(data: ImageData) -> tuple[str, ...]:
    """Names of all attributes that can be read off these data."""
    return data.attribute_names or (*data.class_names, *NAMES)


class BatchAttributes:
    """Named attributes of batches: the data's own; else one column per class and thickness, slant, width.

    Args:
        data: an `ImageData`.
        names: which attributes, in this order.

    Raises:
        UserError: a name that the data lack, a name twice, none at all, or an attribute that all training
            images share.
    """

    def __init__(self, data: ImageData, names: Sequence[str]) -> None:
        known = offered(data)
        _check_names(names, known, data.name)
        self.columns = [known.index(name) for name in names]
        self.classes = 0 if data.attribute_names else len(data.class_names)
        self.exclusive = tuple(i for i, column in enumerate(self.columns) if column < self.classes)
        self.scale = None if data.attribute_names else ShapeScale(data.train[:SAMPLE].x)
        _check_varies(self._all(data), names, data.name)

    def _all(self, data: ImageData) -> Tensor:
        """Of all training images where they are stored, of a sample where they are measured."""
        stored = data.train.attributes
        return self(data.train[:SAMPLE]) if stored is None else stored[:, self.columns].float()

    def __call__(self, batch: Batch) -> Tensor:
        """Attributes (B, A) in [0, 1] of a batch."""
        if self.scale is None:
            assert batch.a is not None
            return batch.a[:, self.columns]
        return torch.cat((F.one_hot(batch.y, self.classes).to(batch.x), self.scale(batch.x)), dim=1)[
            :, self.columns
        ]


def _check_names(names: Sequence[str], known: Sequence[str], data: str) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(
            f"attributes: {unknown[0]} is not in data={data}; known attributes: {', '.join(known)}"
        )
    if not names or len(set(names)) < len(names):
        raise UserError(
            f"attributes: expected one or more different names, found {', '.join(names) or 'none'}; "
            f"known: {', '.join(known)}"
        )


def _check_varies(values: Tensor, names: Sequence[str], data: str) -> None:
    for name, column in zip(names, values.T, strict=True):
        if bool((column == column[0]).all()):
            raise UserError(
                f"attributes: {name} is {float(column[0]):g} in all {len(column)} training images of "
                f"data={data}, so no model can learn to edit it; leave it out of generative.net.attributes, "
                "or take more images"
            )
