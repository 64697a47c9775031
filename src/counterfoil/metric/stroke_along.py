"""Does a property of a digit's strokes grow along a strip, with the probability requested of a class?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from counterfoil.core.bounds import Whole
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.core.strip import Strip
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.stroke import STROKES
from counterfoil.util.rank import spearman


class StrokeTrend(SampleMetric):
    """Rank correlation within a strip of a property of the strokes and the request of a class.

    rho_k(p_k, s(x_k)), in [-1, 1], the mean over strips; 0 where s never changes. p_k is the probability
    requested of the class `towards`, whether it is the target or the other end of the strip, so that strips
    of both directions add up. Not defined for strips with an image without ink, and for those of other
    classes.

    Args:
        stroke: "thickness", "slant" or "width"; see `metric.stroke`.
        towards: the class, by its number.

    Raises:
        UserError: images of several channels.
    Source: Explanation by Progressive Exaggeration (Singla et al., ICLR 2020), arXiv 1911.00483, where the
    size of a heart is measured; the strokes of a digit stand for it here.
    """

    name = "stroke_trend"
    role = "strip"
    minimum: ClassVar[float | None] = -1.0
    maximum: ClassVar[float | None] = 1.0

    def __init__(self, stroke: str, towards: Whole) -> None:
        super().__init__()
        self.__dict__["label"] = f"{stroke.capitalize()} with the request"
        self.stroke, self.towards = stroke, towards

    def score(self, cf: Counterfactuals) -> Tensor:
        if cf.strip is None or cf.strip.requested is None:
            return torch.full_like(cf.seconds, torch.nan)
        rising = requested_of(self.towards, cf.strip, cf.target, cf.factual_logits.shape[1])
        return self.along(rising, _measured(cf.strip.images, self.stroke)).to(cf.seconds)

    def along(self, rising: Tensor, measured: Tensor) -> Tensor:
        """The value (B,) of strips, from the requests of the class and the property, each (B, S)."""
        usable = (rising.isfinite() & measured.isfinite()).all(1)
        found = [spearman(p, s) for p, s in zip(rising[usable], measured[usable], strict=True)]
        values = torch.full((len(rising),), torch.nan, dtype=torch.float64)
        values[usable.cpu()] = torch.tensor(found, dtype=torch.float64).nan_to_num(0.0)
        return values


class StrokeGrowth(StrokeTrend):
    """Growth of a property of the strokes from the strip's end without a class to its end with it.

    s(x_with) - s(x_without), in pixels (slant: as a shear), of the images with the highest and the lowest
    probability requested of the class; see `StrokeTrend`.
    """

    name = "stroke_growth"
    minimum = None
    maximum = None

    def __init__(self, stroke: str, towards: Whole) -> None:
        super().__init__(stroke, towards)
        self.__dict__["label"] = f"{stroke.capitalize()} growth"
        self.__dict__["unit"] = "" if stroke == "slant" else "px"

    def along(self, rising: Tensor, measured: Tensor) -> Tensor:
        usable = rising.isfinite().all(1)
        safe = torch.where(usable[:, None], rising, 0.0)
        high, low = (
            measured.gather(1, place[:, None])[:, 0] for place in (safe.argmax(dim=1), safe.argmin(dim=1))
        )
        return (high - low).masked_fill(~usable, torch.nan)


def stroke_trends(
    data: Any, towards: str | int | None, strokes: Sequence[str] = tuple(STROKES)
) -> Mapping[str, StrokeTrend]:
    """A `StrokeTrend` and a `StrokeGrowth` of each property, by the name it is reported as.

    Args:
        data: whose class names are known.
        towards: the class, by name, with which the properties are to grow; None: the last one.
        strokes: some of "thickness", "slant" and "width".

    Raises:
        UserError: no class of this name, or another property.
    """
    names = list(data.class_names)
    if towards is not None and str(towards) not in names:
        raise UserError(
            f"metric.strokes_along.towards={towards} is no class; name one of {', '.join(names)}, with which "
            "the strokes are to grow"
        )
    for stroke in strokes:
        if stroke not in STROKES:
            raise UserError(
                f"metric.strokes_along.strokes={stroke} is not supported; choose among: {', '.join(STROKES)}"
            )
    place = len(names) - 1 if towards is None else names.index(str(towards))
    return {
        f"{stroke}_{kind}": made(stroke, place)
        for stroke in strokes
        for kind, made in (("trend", StrokeTrend), ("growth", StrokeGrowth))
    }


def requested_of(towards: int, strip: Strip, target: Tensor, classes: int) -> Tensor:
    """The probability (B, S) requested of a class; NaN in strips that do not have it at either end."""
    assert strip.requested is not None
    up = target == towards
    down = ~up if classes == 2 else torch.zeros_like(up)
    if strip.scale is not None:
        down = down | (~up & ((strip.scale.high == towards) | (strip.scale.low == towards)))
    rising = torch.where(up[:, None], strip.requested, 1 - strip.requested)
    return rising.masked_fill(~(up | down)[:, None], torch.nan)


def _measured(images: Tensor, stroke: str) -> Tensor:
    if images.shape[2] != 1:
        raise UserError(
            f"metric=strokes_along measures digits of one channel, found {images.shape[2]}; leave it out"
        )
    return STROKES[stroke](images.flatten(0, 1)).view(images.shape[:2])
