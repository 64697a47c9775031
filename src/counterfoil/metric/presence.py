"""Realism of counterfactuals in which the target is present, absent, or either."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Pair
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.data.base import Images
from counterfoil.metric.network import CHUNK, Borrowed
from counterfoil.metric.realism import JudgeFID


class Within:
    """Valid counterfactuals and real images whose posterior f of the target lies between two bounds.

    Args:
        classifier: images -> logits (B, K); f is its own posterior, before calibration.
        generator: the `Exaggerator` whose first target is meant; for a pair, real images are of the pair's
            classes.
        metric: for errors.
        above, below: f must lie strictly between them.
    """

    def __init__(
        self,
        classifier: nn.Module | None,
        generator: Any,
        metric: str,
        above: float = -torch.inf,
        below: float = torch.inf,
    ) -> None:
        self.classifier = Borrowed(classifier, metric, "classifier")
        self.generator = Borrowed(generator, metric, "explainer=progressive and its generator")
        if not hasattr(generator, "knob"):
            raise UserError(
                f"metric={metric} needs the generator of explainer=progressive, found "
                f"{type(generator).__name__}"
            )
        self.above, self.below = above, below

    def rows(self, cf: Counterfactuals) -> Tensor:
        """Whether each row is valid and belongs: bool (B,)."""
        return self._member(cf.counterfactual_logits) & cf.valid

    def real(self, images: Images, order: Tensor) -> Tensor:
        """The images of this order (N,) that belong, by their index."""
        pair = self.generator.net.knob.pair
        if pair:
            order = order[torch.isin(images.labels[order], torch.tensor(pair))]
        return torch.cat(
            [rows[self._member(self.classifier(images[rows].x)).cpu()] for rows in torch.split(order, CHUNK)]
        )

    def _member(self, logits: Tensor) -> Tensor:
        knob = self.generator.net.knob
        slot = torch.zeros(len(logits), dtype=torch.int64, device=knob.temperature.device)
        posterior = knob.log_odds(logits.to(knob.temperature), slot).sigmoid().to(logits.device)
        member: Tensor = (posterior > self.above) & (posterior < self.below)
        return member


class _GroupFID(JudgeFID):
    """FID within the bounds on f that a subclass names."""

    main = False
    bounds: ClassVar[dict[str, float]] = {}

    def __init__(
        self,
        judge: nn.Module | None,
        reference: Any,
        classifier: nn.Module | None,
        generator: Any,
        max_reference: Pair = 2000,
    ) -> None:
        within = Within(classifier, generator, self.name, **self.bounds)
        super().__init__(judge, reference, max_reference, within)


class PresentFID(_GroupFID):
    """FID, in the judge's features, of valid counterfactuals with f > 0.9 to real test images with f > 0.9.

    f is the classifier's own posterior of the generator's (first) target; see `JudgeFID` for formula and
    departures.
    Departures: the source does not say which real images it compares with; these are the test images of the
    same group.
    Source: Beyond Trivial Counterfactual Explanations (Rodriguez et al., 2021), arXiv 2103.10226, after
    Singla et al. (2020)
    """

    name = "fid_judge_present"
    label = "FID (judge), present"
    bounds: ClassVar[dict[str, float]] = {"above": 0.9}


class AbsentFID(_GroupFID):
    """FID, in the judge's features, of valid counterfactuals with f < 0.1 to real test images with f < 0.1.

    See `PresentFID`.
    """

    name = "fid_judge_absent"
    label = "FID (judge), absent"
    bounds: ClassVar[dict[str, float]] = {"below": 0.1}


class OverallFID(_GroupFID):
    """FID, in the judge's features, of all valid counterfactuals to real test images.

    See `PresentFID`; for a pair, real images of the pair's classes.
    """

    name = "fid_judge_overall"
    label = "FID (judge), overall"
