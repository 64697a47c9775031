"""Can counterfactuals stand for real images? What networks that learned from them alone make of real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat

from counterfoil.core.bounds import Count, Seed
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.base import Figure, FigureMetric
from counterfoil.metric.bootstrap import wilson
from counterfoil.metric.boundary import apart, network, real
from counterfoil.metric.network import Borrowed
from counterfoil.metric.ties import over_runs


class SubstituteAccuracy(FigureMetric):
    """Accuracy on real images of networks trained on the valid counterfactuals alone, under their targets.

    The mean over several trainings of a small network, in [0, 1]; tested on the test images of both targets
    that are no queries. The interval joins by squares Wilson's over these images and Student's over the
    trainings. Not defined unless the targets of the valid counterfactuals are two classes.

    Args:
        data: its test images are the real ones.
        real: train on as many real training images of each class instead: the bar to reach.
        trainings: networks, each with weights, batches and real images of its own.
        steps: batches of at most 50 images in a training.
        seed: of the first training; those that follow have the next ones.

    Departures: the source trains a classifier of the size of the one explained, once.
    Source: substitutability, in ExplainGAN: Model Explanation via Decision Boundary Crossing Transformations
    (Samangouei et al., ECCV 2018).
    """

    name = "substitute_accuracy"
    higher_is_better = True
    unit, minimum, maximum = "%", 0.0, 1.0

    _queries: list[Tensor]
    _found: list[Tensor]
    _targets: list[Tensor]
    _valid: list[Tensor]

    def __init__(
        self, data: Any, real: bool = False, trainings: Count = 5, steps: Count = 200, seed: Seed = 0
    ) -> None:
        super().__init__()
        self.__dict__["label"] = (
            f"Accuracy of learners, {'as many real images' if real else 'counterfactuals'}"
        )
        self.data = Borrowed(data, "substitute", "data").net
        self.real, self.trainings, self.steps, self.seed = real, trainings, steps, seed
        for state in ("_queries", "_found", "_targets", "_valid"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, cf: Counterfactuals) -> None:
        """Keep queries, counterfactuals, targets and which are valid."""
        if len(cf):
            for state, value in zip(
                (self._queries, self._found, self._targets, self._valid),
                (cf.factual, cf.counterfactual, cf.target, cf.valid),
                strict=True,
            ):
                state.append(value)

    def figure(self) -> Figure:
        """The accuracy and its interval."""
        if not len(self._valid):
            return Figure()
        queries, found, target, valid = (
            dim_zero_cat(part) for part in (self._queries, self._found, self._targets, self._valid)
        )
        pair = target[valid].unique().tolist()
        if len(pair) != 2:
            return Figure()
        held, label = apart(self.data.queried, pair, queries)
        right = torch.stack(
            [
                self._said(found[valid], target[valid], pair, held, self.seed + i) == label
                for i in range(self.trainings)
            ]
        ).double()
        value = float(right.mean())
        low, high = wilson(value, len(held))
        half = (high - low) / 2
        if self.trainings > 1:
            ends = over_runs(right.mean(1).tolist())
            half = (half**2 + ((ends[1] - ends[0]) / 2) ** 2) ** 0.5
        return Figure(value, value - half, value + half, len(held))

    def _said(self, found: Tensor, target: Tensor, pair: list[int], held: Tensor, seed: int) -> Tensor:
        x = real(self.data.train, target, seed).to(found) if self.real else found
        return network(x, (target == pair[1]).long(), held, seed, self.steps)


def substitutes(
    data: Any, *, trainings: Count = 5, steps: Count = 200, seed: Seed = 0
) -> Mapping[str, SubstituteAccuracy]:
    """The accuracy after counterfactuals and after as many real images, by the name it is reported as.

    Args: see `SubstituteAccuracy`.
    """
    return {
        "substitute_accuracy": SubstituteAccuracy(data, False, trainings, steps, seed),
        "substitute_accuracy_real": SubstituteAccuracy(data, True, trainings, steps, seed),
    }
