"""Regions of the image that counterfactuals change as one, the same for all methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from counterfoil.audit.maps import cell_of

PATTERNS = 4
"""Ways in which cells change together, that tell regions apart."""
PLACE = 2.0
"""Weight of the place of a cell beside the pattern in which it changes."""
LITTLE = 0.1
"""Cells that change by less than this share of the most changed one are the rest of the image."""
ALIKE = 0.95
"""Neighbouring regions are one where the cosine of their changes over the counterfactuals is larger."""
LARGEST = 0.25
"""Share of the image up to which neighbours are made one: a region that is all of it is no place."""
ROUNDS = 50
_PLACES = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)


@dataclass(frozen=True)
class Region:
    """A part of the image.

    Attributes:
        mask: (H, W) bool.
        name: A, B, ... from the one that matters most; "rest" for what hardly changes.
    """

    mask: Tensor
    name: str = ""

    @property
    def place(self) -> str:
        """Where it lies, in words."""
        if self.name == "rest":
            return "the rest of the image"
        rows, columns = self.mask.nonzero().double().mean(0).tolist()
        height, width = self.mask.shape
        return _PLACES[min(int(3 * (rows + 0.5) / height), 2)][min(int(3 * (columns + 0.5) / width), 2)]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right, the last two excluded."""
        at = self.mask.nonzero()
        (top, left), (bottom, right) = at.amin(0).tolist(), (at.amax(0) + 1).tolist()
        return top, left, bottom, right

    @property
    def area(self) -> float:
        """Its share of the image."""
        return float(self.mask.double().mean())


def find_regions(cells: Sequence[Tensor], size: tuple[int, int], count: int) -> list[Region]:
    """Weighted k-means of cells by place and by the pattern in which they change; what is left is the rest.

    Neighbours that always change together are one region, of at most a quarter of the image.

    Each counterfactual counts by its change's share in each cell, and each method as much as the others. A
    cell's pattern is its direction in the leading singular vectors of these shares: cells that change
    together have the same. Nothing is drawn: the first centre is the cell that changes most, the next ones
    are those farthest from all centres, weighed by their change.

    Args:
        cells: of each method, mean absolute changes (N, P).
        size: of the image, height and width.
        count: regions beside the rest, at most.
    """
    height, width = size
    shares = [part / part.sum(1, keepdim=True).clamp(min=1e-12) for part in cells if len(part)]
    weight = torch.stack([part.double().mean(0) for part in shares]).mean(0)
    together = torch.cat([part.double() / len(part) ** 0.5 for part in shares])
    _, scale, vectors = torch.linalg.svd(together, full_matrices=False)
    loads = _signed(vectors[:PATTERNS]).T * scale[:PATTERNS]
    pattern = loads / loads.norm(dim=1, keepdim=True).clamp(min=1e-12)
    much = weight >= LITTLE * weight.max()
    side = cell_of(max(height, width))
    columns = -(-width // side)
    at = torch.arange(len(weight))
    place = torch.stack((at // columns, at % columns), 1).double() * side / max(height, width)
    label = torch.full((len(weight),), -1)
    label[much] = kmeans(torch.cat((PLACE * place, pattern), 1)[much], weight[much], count)
    label = joined(label, together, columns)
    pixels = label.view(-1, columns).repeat_interleave(side, 0).repeat_interleave(side, 1)[:height, :width]
    found = [Region(pixels == k) for k in range(count) if bool((pixels == k).any())]
    rest = pixels == -1
    return [*found, Region(rest, "rest")] if bool(rest.any()) else found


def kmeans(points: Tensor, weight: Tensor, count: int) -> Tensor:
    """The cluster (P,) of each weighted point (P, D), at most `count`; nothing is drawn.

    Seeding by the farthest weighted point, then Lloyd's rounds.
    """
    centres = points[weight.argmax()][None]
    while len(centres) < count:
        gap = torch.cdist(points, centres).amin(1).square() * weight
        if float(gap.max()) <= 1e-12:
            break
        centres = torch.cat((centres, points[gap.argmax()][None]))
    label = torch.cdist(points, centres).argmin(1)
    for _round in range(ROUNDS):
        member = torch.nn.functional.one_hot(label, len(centres)).to(points) * weight[:, None]
        total = member.sum(0)[:, None]
        centres = torch.where(total > 0, member.T @ points / total.clamp(min=1e-12), centres)
        before, label = label, torch.cdist(points, centres).argmin(1)
        if torch.equal(before, label):
            break
    return label


def joined(label: Tensor, changes: Tensor, columns: int) -> Tensor:
    """The labels (P,) of cells, -1 for none, with neighbours whose changes (N, P) go together made one."""
    while True:
        count = int(label.max()) + 1
        profiles = torch.stack([changes[:, label == k].sum(1) for k in range(count)])
        unit = profiles / profiles.norm(dim=1, keepdim=True).clamp(min=1e-12)
        size = torch.bincount(label[label >= 0], minlength=count) / len(label)
        fits = _touching(label.view(-1, columns), count) & (size + size[:, None] <= LARGEST)
        alike = (unit @ unit.T).masked_fill(~fits, -1)
        if float(alike.max()) <= ALIKE:
            return label
        one, other = sorted(divmod(int(alike.argmax()), count))
        label = label.where(label != other, one)


def _touching(label: Tensor, count: int) -> Tensor:
    """Which labels of a map (H, W) have cells side by side: bool (K, K)."""
    found = torch.zeros(count, count, dtype=torch.bool)
    for one, other in ((label[1:], label[:-1]), (label[:, 1:], label[:, :-1])):
        pairs = torch.stack((one.flatten(), other.flatten()))
        pairs = pairs[:, (pairs >= 0).all(0) & (pairs[0] != pairs[1])]
        found[pairs[0], pairs[1]] = found[pairs[1], pairs[0]] = True
    return found


def named(regions: Sequence[Region], order: Sequence[int]) -> list[Region]:
    """The regions in this order, named A, B, ...; the rest keeps its name."""
    letters = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return [
        region if region.name else Region(region.mask, next(letters))
        for region in (regions[i] for i in order)
    ]


def _signed(vectors: Tensor) -> Tensor:
    """The same vectors (K, P), each with its largest entry positive, as a sign is arbitrary."""
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return vectors * largest.sign()
