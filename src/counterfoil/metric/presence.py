"""Realism of counterfactuals in which the target is present, absent, or either."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.compatibility import StripReader
from counterfoil.metric.network import CHUNK
from counterfoil.metric.realism import JudgeFID


class _GroupFID(JudgeFID):
    """Compares a group of counterfactuals with the real test images of the same group."""

    def __init__(
        self, judge: nn.Module | None, reference: Any, classifier: nn.Module | None, generator: Any, max_reference: int = 2000
    ) -> None:
        super().__init__(judge, reference, max_reference)
        self._strips = StripReader(classifier, generator, self.name)

    def update(self, cf: Counterfactuals) -> None:
        """Keep the features of the group's rows, NaN for the others."""
        if len(cf):
            features = self.embed(cf.counterfactual).detach()
            out = ~self.member(self._posterior(cf.counterfactual_logits)) | ~cf.valid
            self._features.append(features.masked_fill(out[:, None], torch.nan))

    def member(self, posterior: Tensor) -> Tensor:
        """Whether rows of this posterior (B,) belong: bool (B,)."""
        raise NotImplementedError

    def _posterior(self, logits: Tensor) -> Tensor:
        """The classifier's own posterior (B,) of the first slot's target."""
        knob = self._strips.generator.net.knob
        slot = torch.zeros(len(logits), dtype=torch.int64, device=knob.temperature.device)
        posterior: Tensor = knob.log_odds(logits.to(knob.temperature), slot).sigmoid().to(logits.device)
        return posterior

    def _real(self) -> Tensor:
        images, pair = self._reference.net.test, self._strips.generator.net.knob.pair
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        if pair:
            order = order[torch.isin(images.labels[order], torch.tensor(pair))]
        found: list[Tensor] = []
        for rows in torch.split(order, CHUNK):
            x = images[rows].x
            found.append(self.embed(x)[self.member(self._posterior(self._strips.classifier(x)))])
        return torch.cat(found)[: self.max_reference].cpu().double()


class PresentFID(_GroupFID):
    """Fréchet distance, in the judge's features, of valid counterfactuals with f > 0.9 to real test images with f > 0.9.

    f is the classifier's own posterior of the generator's (first) target; see `JudgeFID` for formula and departures.
    Departures: the source does not say which real images it compares with; these are the test images of the same group.
    Source: Beyond Trivial Counterfactual Explanations (Rodriguez et al., 2021), arXiv 2103.10226, after Singla et al. (2020)
    """

    name = "fid_judge_present"

    def member(self, posterior: Tensor) -> Tensor:
        return posterior > 0.9


class AbsentFID(_GroupFID):
    """Fréchet distance, in the judge's features, of valid counterfactuals with f < 0.1 to real test images with f < 0.1.

    See `PresentFID`.
    """

    name = "fid_judge_absent"

    def member(self, posterior: Tensor) -> Tensor:
        return posterior < 0.1


class OverallFID(_GroupFID):
    """Fréchet distance, in the judge's features, of all valid counterfactuals to real test images.

    See `PresentFID`; for a pair, real images of the pair's classes.
    """

    name = "fid_judge_overall"

    def member(self, posterior: Tensor) -> Tensor:
        return posterior.isfinite()
