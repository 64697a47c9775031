"""Checks that reconstructions by a generative model keep the classifier's decisions."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from counterfoil.core.errors import CounterfoilWarning, UserError, first_line
from counterfoil.core.query import Query, reaches
from counterfoil.search import Space

GOOD = 0.95
"""Share below which a warning is shown."""


def check_reconstruction(
    space: Space, classifier: nn.Module, generator: nn.Module | None, data: Any, gate: float, method: str
) -> float:
    """The share of `space.trial` validation images whose reconstruction keeps the classifier's decision.

    A share below 0.95 is a warning.

    Raises:
        UserError: images that the generator cannot take, or a share below `gate`.
    """
    like = next((p for p in classifier.parameters()), torch.zeros(1))
    x = data.val[range(min(space.trial, len(data.val)))].x.to(like)
    with torch.no_grad():
        logits = classifier(x)
    query = Query(x, logits.argmax(1), classifier, generator=generator)
    try:
        start = space.start(query)  # may descend, so with gradients
        with torch.no_grad():
            kept = reaches(classifier(space.decode(query, start)), query.source)
    except RuntimeError as error:
        raise UserError(
            f"explainer {method}: the generator {type(generator).__name__} cannot take the classifier's "
            "images of shape "
            f"{tuple(x.shape[1:])} (channels, height, width): {first_line(error)[:160]}; train it on the "
            "same data"
        ) from error
    share = float(kept.double().mean())
    kind = type(generator).__name__
    told = (
        f"explainer {method}: the classifier's decision survives reconstruction by {kind} in "
        f"{100 * share:.1f} % of {len(x)} images"
    )
    if share < gate:
        raise UserError(
            f"{told}, expected {100 * gate:.0f} % (gate); train the generator longer, or lower "
            f"explainer.{method}.gate"
        )
    if share < GOOD:
        warnings.warn(
            f"{told}; below {100 * GOOD:.0f} % the counterfactuals tell of the generator as much as of the "
            "classifier",
            CounterfoilWarning,
            stacklevel=2,
        )
    return share
