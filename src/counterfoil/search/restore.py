"""The factual given back wherever the decision does not need the change."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from counterfoil.core.bounds import Share, Whole
from counterfoil.core.query import Query
from counterfoil.search.refine import Refine


class Restore(Refine):
    """Parts of a counterfactual are put back to the factual, one after the other, where it still reaches t.

    x' <- x on part p of the image and x' elsewhere, if argmax f = t and f_t >= confidence there; first on
    each connected region of change, then on groups of blocks of pixels, the smallest change first; in a text
    a token is a pixel, and runs of changed tokens are its regions

    Args:
        threshold: change of a pixel, in any channel, from which it belongs to a region.
        groups: of blocks, of as many blocks each; 0 leaves out this stage.
        block: side of a block in pixels, or tokens in a block.

    Source of the idea: the last step of Inverse Classification for Comparison-based Interpretability in
    Machine Learning (Laugel et al., 2017), arXiv 1712.08443; regions and blocks are ours.
    """

    def __init__(self, threshold: Share = 0.1, *, groups: Whole = 16, block: Whole = 2) -> None:
        self.threshold = threshold
        self.groups = groups
        self.block = block

    def improve(self, query: Query, image: Tensor) -> tuple[Tensor, Tensor]:
        """Regions first, then blocks."""
        calls = torch.zeros_like(query.target)
        change = _change(query, image)
        image = self._undo(query, image, ranked(regions(change > self.threshold), change), calls)
        if self.groups:
            change = _change(query, image)
            image = self._undo(query, image, blocks(change, self.block or 1, self.groups), calls)
        return image, calls

    def _undo(self, query: Query, image: Tensor, part: Tensor, calls: Tensor) -> Tensor:
        """Put back the parts 1, 2, ... (B, H, W) of each image where the target survives it; 0 is none."""
        last = part.flatten(1).amax(1)
        for k in range(1, int(last.max()) + 1):
            rows = (last >= k).nonzero()[:, 0]
            mine = query[rows]
            trial = torch.where(part[rows, None] == k, mine.factual, image[rows])
            kept = mine.reached(query.classifier(trial))
            image = image.index_copy(0, rows, torch.where(kept[:, None, None, None], trial, image[rows]))
            calls[rows] += 1
        return image


def _change(query: Query, image: Tensor) -> Tensor:
    """Of each pixel, in the channel that changed most, (B, H, W); of each token of a text, (B, L, 1)."""
    return query.domain.units((image - query.factual).abs().amax(1))


def regions(changed: Tensor) -> Tensor:
    """Numbers 1, 2, ... of connected pixels (B, H, W) of a mask, over corners too; 0 elsewhere."""
    masks = changed.cpu().numpy()
    found = [ndimage.label(mask, np.ones((3, 3)))[0] for mask in masks]
    return torch.as_tensor(np.stack(found), dtype=torch.int64, device=changed.device)


def ranked(part: Tensor, change: Tensor) -> Tensor:
    """The same parts (B, H, W), numbered from the smallest total change (B, H, W) to the largest."""
    most = int(part.max())
    flat = part.flatten(1)
    total = change.new_zeros(len(part), most + 1).scatter_add(1, flat, change.flatten(1))
    size = torch.zeros_like(total).scatter_add(1, flat, torch.ones_like(change).flatten(1))
    total = total.masked_fill(size == 0, torch.inf)  # numbers that a row does not have come last
    total[:, 0] = -1.0
    rank = total.argsort(dim=1, stable=True).argsort(dim=1)
    return rank.gather(1, flat).view_as(part)


def blocks(change: Tensor, side: int, groups: int) -> Tensor:
    """Groups 1, 2, ... of the blocks that change (B, H, W), smallest mean change first; 0 elsewhere."""
    height, width = change.shape[-2:]
    mean = F.avg_pool2d(change[:, None], side, ceil_mode=True, count_include_pad=False)
    flat = mean.flatten(1)
    some = flat > 0
    order = flat.masked_fill(~some, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
    group = torch.where(some, order * groups // some.sum(1, keepdim=True).clamp(min=1) + 1, 0)
    spread = group.view_as(mean).to(change)
    return F.interpolate(spread, scale_factor=side, mode="nearest")[:, 0, :height, :width].round().long()
