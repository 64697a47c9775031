"""Images on the way to a counterfactual, with the posterior requested of each and the classifier's logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 256
"""Largest number of images per call of the classifier."""


class Scale(NamedTuple):
    """The scale on which the images of a strip are requested: calibrated posteriors, in bins.

    s(x) = f_high(x) - f_low(x), or f_high(x) - logsumexp of all others;   q(x) = sigmoid(s(x) / temperature)

    Attributes:
        high: (B,) int64, the class at the upper end.
        low: (B,) int64, the class at the lower end, or -1: all others. A target other than `high` lies at
            this end.
        temperature: (B,), positive.
        edges: (B, S - 1) log-odds s between the bins, ascending; an edge belongs to the bin above it.
    """

    high: Tensor
    low: Tensor
    temperature: Tensor
    edges: Tensor

    @staticmethod
    def plain(target: Tensor, requested: Tensor) -> Scale:
        """The classifier's own posterior of the target (B,), cut halfway between the requests (B, S)."""
        edges = torch.logit((requested[:, 1:] + requested[:, :-1]) / 2)
        return Scale(target, torch.full_like(target, -1), torch.ones_like(requested[:, 0]), edges)

    def log_odds(self, logits: Tensor) -> Tensor:
        """s (B, ...) of logits (B, ..., K)."""
        spread = (-1, *[1] * (logits.ndim - 1))
        high, low = (
            end.clamp(min=0).view(spread).expand(*logits.shape[:-1], 1) for end in (self.high, self.low)
        )
        own, rival = logits.gather(-1, high), logits.gather(-1, low)
        rest = logits.scatter(-1, high, -torch.inf).logsumexp(-1)
        return own[..., 0] - torch.where(self.low.view(spread[:-1]) < 0, rest, rival[..., 0])

    def posterior(self, log_odds: Tensor) -> Tensor:
        """q (B, ...) of the class `high`, from log-odds (B, ...)."""
        return (log_odds / self.temperature.view(-1, *[1] * (log_odds.ndim - 1))).sigmoid()

    def bin(self, log_odds: Tensor) -> Tensor:
        """The bin (B, ...) int64 in which log-odds (B, ...) lie."""
        edges = self.edges.view(len(self.edges), *[1] * (log_odds.ndim - 1), -1)
        return (log_odds[..., None] >= edges).sum(-1)


class Posteriors(NamedTuple):
    """Requested and obtained posteriors of a strip; NaN for rows without requests.

    Attributes:
        requested, obtained: (B, S) posteriors of the target, on the strip's scale.
        inside: (B, S), 1 where the image lies in its bin, else 0.
        source: (B,) the factual's bin, counted towards the target.
    """

    requested: Tensor
    obtained: Tensor
    inside: Tensor
    source: Tensor


def levels(images: Tensor) -> Tensor:
    """Images in [0, 1] with 8 bits: uint8 of the same shape."""
    return (images * 255).round().to(torch.uint8)


@dataclass(frozen=True)
class Strip:
    """Images from the factual towards the target, one strip per row.

    Attributes:
        images: (B, S, C, H, W), in [0, 1] once graded; the factual S times in rows for which nothing was
            searched.
        requested: (B, S) posterior of the target requested of each image, NaN in rows for which nothing was
            searched; None where the method does not request one.
        logits: (B, S, K) by the classifier explained, on these images before a file kept 8 bits of them; None
            until graded.
        scale: of the requests; None: the classifier's own posterior.
    """

    images: Tensor
    requested: Tensor | None = None
    logits: Tensor | None = None
    scale: Scale | None = None

    def graded(self, classifier: Callable[[Tensor], Tensor]) -> Strip:
        """The strip in [0, 1] with the classifier's logits of each image, at most `CHUNK` images at once."""
        images = self.images.detach().clamp(0, 1)
        with torch.no_grad():
            parts = [classifier(part) for part in images.flatten(0, 1).split(CHUNK)]
        return replace(self, images=images, logits=torch.cat(parts).unflatten(0, images.shape[:2]))

    def posteriors(self, target: Tensor, factual_logits: Tensor) -> Posteriors | None:
        """Requests and results of a graded strip for targets (B,) and factuals with logits (B, K).

        None where nothing is requested.
        """
        if self.requested is None or self.logits is None:
            return None
        scale = self.scale or Scale.plain(target, self.requested)
        up, gap, last = target == scale.high, self.requested.isnan(), self.requested.shape[1] - 1
        log_odds = scale.log_odds(self.logits.to(scale.temperature))
        own = scale.bin(scale.log_odds(factual_logits.to(scale.temperature)))
        q, step = scale.posterior(log_odds), torch.arange(last + 1, device=target.device)
        inside = scale.bin(log_odds) == torch.where(up[:, None], step, last - step)
        return Posteriors(
            self.requested,
            torch.where(up[:, None], q, 1 - q).masked_fill(gap, torch.nan),
            inside.to(q).masked_fill(gap, torch.nan),
            torch.where(up, own, last - own).to(q).masked_fill(gap[:, 0], torch.nan),
        )

    def restored(self, *known: Tensor) -> Strip:
        """Read from 8 bits: floats in [0, 1] in place of levels.

        An image with the levels of its row's image in one of `known` (B, C, H, W) is that image, so that rows
        for which nothing was searched, and the counterfactual among the images, are found again.
        """
        if self.images.is_floating_point():
            return self
        images = self.images.to(known[0]) / 255
        for image in known:
            same = (self.images == levels(image)[:, None]).flatten(2).all(2)
            images = torch.where(same[:, :, None, None, None], image[:, None], images)
        return replace(self, images=images)

    def tensors(self) -> dict[str, Tensor]:
        """What it holds, by name; `of` makes a strip of it again."""
        named = {"images": self.images, "requested": self.requested, "logits": self.logits}
        scale = {} if self.scale is None else {f"scale.{k}": v for k, v in self.scale._asdict().items()}
        return {name: value for name, value in (named | scale).items() if value is not None}

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> Strip:
        """The strip that holds these tensors."""
        plain = {name: value for name, value in tensors.items() if "." not in name}
        scale = [tensors[f"scale.{name}"] for name in Scale._fields if f"scale.{name}" in tensors]
        return Strip(**plain, scale=Scale(*scale) if scale else None)
