"""What a method may end with: counterfactuals that are made better once they are found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Found
from counterfoil.core.options import shows_options
from counterfoil.core.query import Query


@shows_options
class Refine(ABC):
    """A stage after the search of any method, over what it found for queries that reach their target.

    A method takes it as `explainer.refine = Restore()`, in a config by `refine=restore`.
    """

    @abstractmethod
    def improve(self, query: Query, image: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) that still reach the target, in place of those that do.

        And the number of images that the classifier was shown for each query (B,).
        """

    @torch.no_grad()
    def __call__(self, query: Query, found: Found) -> Found:
        """What was found, with better images; those that do not reach the target stay as they are."""
        image = query.keep(query.domain.hard(found.counterfactual.detach())).clone()
        calls = torch.ones_like(query.target)
        rows = query.reached(query.classifier(image)).nonzero()[:, 0]
        if len(rows):
            image[rows], more = self.improve(query[rows], image[rows])
            calls[rows] += more
        return replace(found, counterfactual=image, classifier_calls=found.classifier_calls + calls)


class InTurn(Refine):
    """One stage after another.

    Args:
        stages: each takes what the one before has made.
    """

    def __init__(self, *stages: Refine) -> None:
        self.stages = stages

    def improve(self, query: Query, image: Tensor) -> tuple[Tensor, Tensor]:
        """All stages; their images are added up."""
        calls = torch.zeros_like(query.target)
        for stage in self.stages:
            image, more = stage.improve(query, image)
            calls = calls + more
        return image, calls
