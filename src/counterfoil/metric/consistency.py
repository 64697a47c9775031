"""Reconstruction and cycle errors of the generator of a strip."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import Borrowed


class _Redrawn(SampleMetric):
    """Mean absolute difference of the factual to an image redrawn under the factual's own bin."""

    higher_is_better = False

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self._generator = Borrowed(generator, self.name, "explainer=progressive and its generator")

    def _redrawn(self, cf: Counterfactuals, start: Tensor, cell: Tensor | None = None) -> Tensor:
        """G(E(start), k_s): (B, C, H, W)."""
        model = self._generator.net
        home = model.knob.temperature.device
        slot, _up = model.knob.serve(cf.target.to(home))
        own = model.own_cell(cf.factual_logits.to(model.knob.temperature), slot)
        code = self._generator(start, own if cell is None else cell, method="encode")
        return self._generator(code, own.to(code.device), method="decode").to(cf.factual)

    def _error(self, cf: Counterfactuals, image: Tensor) -> Tensor:
        return (image - cf.factual).abs().flatten(1).mean(1)


class ReconstructionL1(_Redrawn):
    """Mean absolute error of a pixel when the generator redraws the factual under its own bin.

    mean |x - G(E(x), k_s)|, in [0, 1].
    """

    name = "reconstruction_l1"
    label = "Reconstruction L1"
    minimum = 0.0
    maximum = 1.0

    def score(self, cf: Counterfactuals) -> Tensor:
        return self._error(cf, self._redrawn(cf, cf.factual))


class CycleL1(_Redrawn):
    """Mean absolute error of a pixel when the counterfactual is turned back to the factual's own bin.

    mean |x - G(E(x'), k_s)|, in [0, 1]; x' is the counterfactual, NaN where the query needed no change.
    """

    name = "cycle_l1"
    label = "Cycle L1"
    minimum = 0.0
    maximum = 1.0

    def score(self, cf: Counterfactuals) -> Tensor:
        model = self._generator.net
        slot, _up = model.knob.serve(cf.target.to(model.knob.temperature.device))
        cell = model.own_cell(cf.counterfactual_logits.to(model.knob.temperature), slot)
        error = self._error(cf, self._redrawn(cf, cf.counterfactual, cell))
        same = (cf.counterfactual == cf.factual).flatten(1).all(1)
        return error.masked_fill(same, torch.nan)
