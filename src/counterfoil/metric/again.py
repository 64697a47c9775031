"""Whether a counterfactual is still of this image: there and back, beside noise, with no change asked.

They read what `again=` keeps, see `counterfoil.explainer.again`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.core.query import reaches
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import Borrowed


class _Again(SampleMetric):
    """A metric of one of the further passes, whose name is `explained_again`."""

    explained_again: ClassVar[str]

    def _image(self, cf: Counterfactuals) -> Tensor:
        """The counterfactuals (B, C, H, W) of the pass, NaN in rows that it leaves out."""
        if self.explained_again not in cf.extra:
            raise UserError(
                f"metric={self.name} needs counterfactuals that were explained a second time; "
                f"set again=[{self.explained_again}] where they are made, or leave it out of metric="
            )
        return cf.extra[self.explained_again]

    def _turned(self, cf: Counterfactuals) -> Tensor:
        """Whether there is a way back (B,): the row is valid, and leads to another class."""
        return cf.valid & (cf.target != cf.source)


class Reversibility(_Again):
    """Mean absolute difference of the query to the way there and back.

    mean |x'' - x| over pixels and channels, in [0, 1]; x'' = e(x', argmax f(x)). Over valid rows, whether or
    not the way back arrives (see `Returned`): where there was no change of class, there is none to undo, and
    the row is not defined. A way back that does nothing has the L1 of the valid rows.

    Source: Measuring axiomatic soundness of counterfactual image models (Monteiro et al., 2023), arXiv
    2303.01274
    """

    name = "reversibility"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = False
    explained_again = "back"

    def score(self, cf: Counterfactuals) -> Tensor:
        return _distance(self._image(cf), cf.factual).masked_fill(~self._turned(cf), torch.nan)


class Returned(_Again):
    """Share of the valid rows whose way back reaches the class of the query.

    mean 1[argmax f(x'') = argmax f(x)], in [0, 1]; see `Reversibility`.

    Args:
        classifier: the model explained, images (B, C, H, W) in [0, 1] -> logits (B, K).
    """

    name = "returned"
    higher_is_better = True
    boolean = True
    explained_again = "back"

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self._classifier = Borrowed(classifier, self.name, "classifier")

    def score(self, cf: Counterfactuals) -> Tensor:
        image = self._image(cf)
        there = self._turned(cf) & image.isfinite().flatten(1).all(1)
        back = reaches(self._classifier(image.nan_to_num()), cf.source).to(cf.factual.dtype)
        return back.masked_fill(~there, torch.nan)


class Stability(_Again):
    """Mean absolute difference to the counterfactual of the same query beside a little noise.

    mean |e(x + n) - e(x)| over pixels and channels, in [0, 1]; n normal with standard deviation 0.05, the
    same for every method, x + n clamped to [0, 1], the target the same. A method that leaves the noise where
    it is has |n|, as `unchanged` shows.

    Source: the wish, Issues with post-hoc counterfactual explanations: a discussion (Laugel et al., 2019),
    arXiv 1906.04774; the form is ours.
    """

    name = "stability"
    label = "Instability, L1"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = False
    also_valid = True
    explained_again = "noise"

    def score(self, cf: Counterfactuals) -> Tensor:
        return _distance(self._image(cf), cf.counterfactual)


class Composition(_Again):
    """Mean absolute difference of the query to its own counterfactual of the class that it has already.

    mean |e(x, argmax f(x)) - x| over pixels and channels, in [0, 1], where e is not let off because nothing
    is to be done. 0 for methods that start at the query and stop at the first success; for those that
    start at a generator's reconstruction that keeps the decision it is the error of the reconstruction,
    |G(E(x)) - x|, which their L1 holds as well.

    Departures: the source asks several times in a row.
    Source: Measuring axiomatic soundness of counterfactual image models (Monteiro et al., 2023), arXiv
    2303.01274
    """

    name = "composition"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = False
    explained_again = "own"

    def score(self, cf: Counterfactuals) -> Tensor:
        return _distance(self._image(cf), cf.factual)


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean absolute difference (B,) of images."""
    return (one.to(other) - other).abs().flatten(1).mean(1)
