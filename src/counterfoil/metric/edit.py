"""Edits of single attributes by a generator: seen by the judge, with the others left alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count
from counterfoil.core.errors import UserError
from counterfoil.core.generator import Decodes, Edits, Encodes
from counterfoil.generative.attgan.training import single_edits
from counterfoil.metric.attributes import AttributeReader
from counterfoil.metric.base import Figure, FigureMetric
from counterfoil.metric.bootstrap import mean_interval, resampled_means
from counterfoil.metric.effect import never_together
from counterfoil.metric.network import Borrowed
from counterfoil.metric.worlds import share

BATCH = 64


class Seen(NamedTuple):
    """Of N images: the reconstruction's error (N,); edits seen, and the share of others kept (N, A)."""

    error: Tensor
    seen: Tensor
    kept: Tensor


class Edited:
    """Each attribute of test images moved alone to its farther end, as read by the judge; done once.

    What no training image shows beside an attribute, such as sunglasses beside eyeglasses, is taken off when
    it is put on, and is not counted among the others.

    Args:
        generator: edits attributes; edits start from the data's own attributes.
        judge: tells all attributes, trained apart from the generator.
        data: has attributes.
        n: number of test images.
    """

    def __init__(self, generator: Any, judge: nn.Module | None, data: Any, n: Count = 500) -> None:
        self._generator = Borrowed(generator, "edit", "generative")
        self._judge = AttributeReader(judge, data, "edit")
        if not all(isinstance(generator, ability) for ability in (Encodes, Decodes, Edits)):
            raise UserError(
                f"metric=edit needs a generator that edits attributes, found {type(generator).__name__}; "
                "set generative=attgan"
            )
        self.names: tuple[str, ...] = tuple(generator.attribute_names)
        self._columns = [self._judge.column(name) for name in self.names]
        self.n = min(n, len(data.queried))

    def __deepcopy__(self, memo: dict[int, Any]) -> Edited:
        return self

    @cached_property
    def found(self) -> Seen:
        """All images, batch by batch."""
        data = self._judge.data
        apart = never_together(data.train.attributes[:, self._columns] > 0)
        parts = [
            self._batch(data.queried[rows].x, data.queried[rows].a[:, self._columns], apart)
            for rows in torch.arange(self.n).split(BATCH)
        ]
        return Seen(*(torch.cat(columns).cpu() for columns in zip(*parts, strict=True)))

    def _batch(self, x: Tensor, a: Tensor, apart: Tensor) -> Seen:
        generator = self._generator.net
        x, a, apart = (part.to(next(generator.parameters(), x).device) for part in (x, a, apart))
        with torch.no_grad():
            shown = single_edits(generator, x, a, apart=apart)
        said = self._judge(shown.flatten(0, 1))[:, self._columns].unflatten(0, shown.shape[:2])
        before, after = said[:, :1], said[:, 1:]
        own = torch.eye(a.shape[1], dtype=torch.bool, device=x.device)
        others = ~own & ~apart
        kept = ((after == before) & others).float().sum(2) / others.sum(1).clamp(min=1)
        return Seen((shown[:, 0] - x).abs().flatten(1).mean(1), after[:, own] == (a < 0.5), kept)


class EditSeen(FigureMetric):
    """Share of test images in which the judge sees the edit of one attribute alone.

    mean 1[o_j(G(E(x), a with a_j turned)) = 1 - a_j], in [0, 1]; see `Edited`. A figure of the generator, the
    same for every method.

    Args:
        edited: shared by all attributes.
        attribute: its name.
    """

    name = "edit_seen"
    higher_is_better = True
    unit, minimum, maximum = "%", 0.0, 1.0

    def __init__(self, edited: Edited, attribute: str) -> None:
        super().__init__()
        self.edited, self.column = edited, edited.names.index(attribute)

    def figure(self) -> Figure:
        """The share, with Wilson's interval."""
        return share(self.edited.found.seen[:, self.column])


class EditKept(EditSeen):
    """Share of the other attributes that the judge sees unchanged by the edit of one attribute.

    Against the reconstruction, in [0, 1]; see `Edited`. A figure of the generator, the same for every method.
    """

    name = "edit_kept"

    def figure(self) -> Figure:
        """The mean share over test images, with its bootstrap interval."""
        return mean(self.edited.found.kept[:, self.column])


class EditError(FigureMetric):
    """Mean absolute error of the reconstruction from which edits start, in [0, 1].

    mean |G(E(x), a) - x|; see `Edited`. A figure of the generator, the same for every method.
    """

    name = "edit_l1"
    higher_is_better = False
    minimum, maximum = 0.0, 1.0

    def __init__(self, edited: Edited) -> None:
        super().__init__()
        self.edited = edited

    def figure(self) -> Figure:
        """The mean error over test images, with its bootstrap interval."""
        return mean(self.edited.found.error)


def edits(generator: Any, judge: nn.Module | None, data: Any, n: Count = 500) -> Mapping[str, FigureMetric]:
    """All figures of this file, by the name they are reported as.

    Args: see `Edited`.
    """
    edited = Edited(generator, judge, data, n)
    return {
        EditError.name: EditError(edited),
        **{
            f"{kind.name}/{name}": kind(edited, name)
            for kind in (EditSeen, EditKept)
            for name in edited.names
        },
    }


def mean(values: Tensor) -> Figure:
    """The mean of values (N,), one per image, with its bootstrap interval."""
    values, image = values.double(), torch.arange(len(values))
    low, high = mean_interval(values, image, resampled_means(values[:, None], image)[:, 0])
    return Figure(float(values.mean()), low, high, len(values))
