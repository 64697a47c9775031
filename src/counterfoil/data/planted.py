"""Causes planted into images: a tint, a bright mark or a lighter ground that tells the class."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from counterfoil.core.bounds import Count, Share, checked, checks_options
from counterfoil.core.errors import UserError, suggest

if TYPE_CHECKING:
    from counterfoil.data.base import Images, Splits


@checks_options
@dataclass(frozen=True)
class Tint:
    """Images in one colour a class, as bright as they are: K hues around the circle, from red on.

    Attributes:
        strength: share of the training and validation images whose colour is their class's; that of the
            others is drawn from all. 0: colour tells nothing.
        test: whether test images follow as well, rather than by chance alone.
    """

    strength: Share = 1.0
    test: bool = False

    def __call__(self, images: Tensor, cause: Tensor, classes: int) -> Tensor:
        """uint8 (N, 3, H, W) of images (N, C, H, W), in the colour of the classes `cause` (N,)."""
        hues = torch.tensor([colorsys.hsv_to_rgb(k / classes, 1.0, 1.0) for k in range(classes)])
        grey = images.float().mean(1, keepdim=True)
        return (grey * hues[cause][:, :, None, None]).round().to(torch.uint8)


@checks_options
@dataclass(frozen=True)
class Mark:
    """A white mark in images of the upper half of the classes.

    Attributes:
        place: "corner", a square at the bottom right; "edge", a bar at the middle of the right edge, half as
            wide and three times as high.
        side: of the square, in pixels.
        strength, test: see `Tint`.
    """

    place: Literal["corner", "edge"] = "corner"
    side: Count = 4
    strength: Share = 1.0
    test: bool = False

    def box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, bottom and right of the mark, the last two excluded."""
        if self.place == "corner":
            box = (height - 1 - self.side, width - 1 - self.side, height - 1, width - 1)
        else:
            wide, high = max(self.side // 2, 1), 3 * self.side
            top = (height - high) // 2
            box = (top, width - 1 - wide, top + high, width - 1)
        if min(box) < 0:
            raise UserError(f"data.mark.side={self.side}: too large for images of {height} x {width}")
        return box

    def __call__(self, images: Tensor, cause: Tensor, classes: int) -> Tensor:
        """The same images (N, C, H, W), marked."""
        top, left, bottom, right = self.box(*images.shape[-2:])
        marked = images.clone()
        marked[2 * cause >= classes, :, top:bottom, left:right] = 255
        return marked


@checks_options
@dataclass(frozen=True)
class Backdrop:
    """A ground that is lighter from class to class: x' = b + (1 - b) x,  b = level * y / (K - 1).

    Attributes:
        level: brightness of black in the last class.
        strength, test: see `Tint`.
    """

    level: Share = 0.4
    strength: Share = 1.0
    test: bool = False

    def __call__(self, images: Tensor, cause: Tensor, classes: int) -> Tensor:
        """The same images (N, C, H, W) on their ground."""
        ground = self.level * cause.float()[:, None, None, None] / max(classes - 1, 1)
        return (255 * ground + (1 - ground) * images.float()).round().to(torch.uint8)


Cause = Tint | Mark | Backdrop
CAUSES: Mapping[str, type[Cause]] = {"tint": Tint, "mark": Mark, "backdrop": Backdrop}
"""By the option of the data that plants it."""


def cause(name: str, options: Mapping[str, Any]) -> Cause:
    """The cause of an option of the data, `data.tint={strength: 0.9}`.

    Raises:
        UserError: an option that it does not have, or a value that is not right.
    """
    kind = CAUSES[name]
    known = kind.__dataclass_fields__
    for given in options:
        if given not in known:
            raise UserError(
                f"option data.{name}.{given} does not exist{suggest(given, known)}; the options there: "
                f"{', '.join(known)}"
            )
    return kind(**checked(kind, options, f"data.{name}."))


def plant(splits: Splits, causes: Mapping[str, Cause], seed: int) -> Splits:
    """The splits with the causes planted into their images; which images follow is drawn by the seed."""
    for place, one in enumerate(causes.values()):
        parts = {"train": splits.train, "val": splits.val, "test": splits.test}
        planted = {
            part: None
            if images is None
            else _planted(images, one, len(splits.class_names), part, seed + place)
            for part, images in parts.items()
        }
        splits = replace(splits, **planted)  # type: ignore[arg-type]
    return splits


def _planted(images: Images, one: Cause, classes: int, part: str, seed: int) -> Images:
    draw = torch.Generator().manual_seed(3 * seed + ("train", "val", "test").index(part))
    strength = one.strength if part != "test" or one.test else 0.0
    follows = torch.rand(len(images), generator=draw) < strength
    other = torch.randint(classes, (len(images),), generator=draw)
    shown = one(images.images, images.labels.where(follows, other), classes)
    return type(images)(shown, images.labels, images.attributes, images.names)
