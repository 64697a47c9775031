"""What can be measured of a text by its words alone: negation, first person, marks and length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from counterfoil.core.domain import PADDING

_NOT = frozenset(("no", "not", "never", "nothing", "none", "nobody", "nowhere", "neither", "nor", "cannot"))
_I = frozenset(("i", "me", "my", "mine", "myself", "we", "us", "our", "ours"))

WORDS: Mapping[str, Callable[[str], bool]] = {
    "negation": lambda token: token in _NOT or token.endswith("n't"),
    "first_person": lambda token: token.partition("'")[0] in _I,
    "question": lambda token: token == "?",
    "exclamation": lambda token: token == "!",
}
"""Attributes that a text has where one of its tokens is such a one."""
MEASURED = (*WORDS, "long")
"""The names of all; a long text fills more than half of the L places."""


def measured(ids: Tensor, tokens: Sequence[str]) -> Tensor:
    """uint8 (N, 5) in {0, 1}, the attributes `MEASURED` of texts.

    Args:
        ids: (N, L), numbers of tokens.
        tokens: each by its number.
    """
    shown = [torch.tensor([such(token) for token in tokens])[ids].any(1) for such in WORDS.values()]
    long = 2 * (ids != PADDING).sum(1) > ids.shape[1]
    return torch.stack([*shown, long], dim=1).to(torch.uint8)
