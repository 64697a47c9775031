"""What kind of input a model takes: which tensors are inputs, and how one is shown to a reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.errors import UserError

PADDING, UNKNOWN = 0, 1
"""Tokens of every vocabulary: what fills a text up, and what stands for a word that it lacks."""


class Domain:
    """The inputs (B, C, H, W) in [0, 1] that a model takes."""

    name: str
    """What its inputs are called."""

    def hard(self, x: Tensor) -> Tensor:
        """The inputs (B, C, H, W) that a method's output (B, C, H, W) stands for; these are graded."""
        raise NotImplementedError

    def shown(self, x: Tensor) -> Tensor:
        """What the classifier is shown of a candidate (B, C, H, W) while it is searched.

        Differentiable; the candidate itself where nothing else is said.
        """
        return x

    def fixed(self, mask: Tensor) -> Tensor:
        """Where a mask (B, 1, H, W), True where nothing may change, leaves nothing to change."""
        return mask

    def units(self, change: Tensor) -> Tensor:
        """The change (B, H, W) of what can be put back by itself, (B, H, W) or (B, H, 1) for whole rows."""
        return change

    def distances(self, one: Tensor, other: Tensor, p: float) -> Tensor:
        """L_p distances (A, B) of inputs (A, C, H, W) and (B, C, H, W)."""
        # never by a matrix product: its rounding depends on the size of the batch
        mode = "donot_use_mm_for_euclid_dist"
        return torch.cdist(one.flatten(1), other.flatten(1), p=p, compute_mode=mode)

    def words(self, x: Tensor) -> list[list[str]] | None:
        """The words of each input (B, C, H, W); None where inputs are looked at and not read."""
        return None


class Continuous(Domain):
    """Every value in [0, 1] is an input, whatever the others are."""

    def hard(self, x: Tensor) -> Tensor:
        """Clamped to [0, 1]."""
        return x.clamp(0, 1)


class Images(Continuous):
    """Pixels in [0, 1]."""

    name = "images"


@dataclass(frozen=True)
class Tokens(Domain):
    """Rows of which each is one of V tokens: (B, 1, L, V), each of the L rows one-hot.

    A candidate may be soft, a distribution over the tokens in each row. The classifier is shown the likeliest
    token of each, and the gradient goes straight through to the distribution: what is graded in a search is
    what is returned, so that none stops at a candidate that is valid only while it is soft.

    Args:
        tokens: V of them, padding first, then what stands for unknown ones; () where they have no names.
        temperature: of the distribution that the gradient goes to, p^(1/T); above 1 it reaches tokens that
            are unlikely still.
        name: see `Domain`.

    Source of the gradient: Estimating or Propagating Gradients Through Stochastic Neurons (Bengio et al.,
    2013), arXiv 1308.3432, "straight-through".
    """

    tokens: Sequence[str] = ()
    temperature: float = 1.0
    name: str = "texts"

    def hard(self, x: Tensor) -> Tensor:
        """The likeliest token of each row, one-hot; NaN in rows that are not finite."""
        best = x.detach().argmax(-1, keepdim=True)
        hard = torch.zeros_like(x).scatter_(-1, best, 1.0)
        return hard + 0 * x.detach().sum(-1, keepdim=True)  # NaN stays NaN

    def shown(self, x: Tensor) -> Tensor:
        """The likeliest token of each row, one-hot, with the gradient of the distribution."""
        hard = self.hard(x)
        if not x.requires_grad:
            return hard
        soft = x if self.temperature == 1 else self._tempered(x)
        return (soft - soft.detach()) + hard

    def fixed(self, mask: Tensor) -> Tensor:
        """A row stays whole."""
        return mask.any(-1, keepdim=True).expand_as(mask)

    def units(self, change: Tensor) -> Tensor:
        """The rows' change (B, H, 1)."""
        return change.amax(-1, keepdim=True)

    def distances(self, one: Tensor, other: Tensor, p: float) -> Tensor:
        """The same, counted: rows of other tokens differ in two values by 1."""
        ids, others = (x.argmax(-1).flatten(1) for x in (one, other))
        differing = (ids[:, None] != others[None]).sum(-1)
        return (2 * differing).to(one) ** (1 / p)

    def words(self, x: Tensor) -> list[list[str]]:
        """The tokens of each input without its padding; numbers where they have no names."""
        return [
            [self.tokens[i] if self.tokens else str(i) for i in row if i != PADDING]
            for row in x.argmax(-1).flatten(1).tolist()
        ]

    def _tempered(self, x: Tensor) -> Tensor:
        return (x.clamp(min=1e-12).log() / self.temperature).softmax(-1)


IMAGES = Images()
"""What a model takes that says nothing else."""


def domain_of(model: Any) -> Domain:
    """The domain of a data set or a model."""
    found: Domain = getattr(model, "domain", IMAGES)
    return found


def require_domain(model: Any, kind: type[Domain], *, method: str) -> None:
    """Refuse a classifier whose inputs are of another kind than a method can move.

    Raises:
        UserError: naming what the method needs.
    """
    domain = domain_of(model)
    if not isinstance(domain, kind):
        raise UserError(
            f"explainer {method} needs {_NEEDED[kind]}, found {domain.name}; choose a method that "
            f"{_INSTEAD[kind]}"
        )


_NEEDED: dict[type[Domain], str] = {
    Continuous: "inputs whose every value moves by itself",
    Tokens: "inputs of one-hot rows",
}
_INSTEAD: dict[type[Domain], str] = {
    Continuous: "moves a generator's code or swaps tokens, such as explainer=aip or explainer=hotflip",
    Tokens: "moves values, such as explainer=wachter",
}
