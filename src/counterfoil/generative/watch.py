"""Looks at a training of progressive exaggeration: what the strips do, and whether it still makes sense to go on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from counterfoil.core.errors import UserError


@dataclass
class Watch:
    """Names a divergence and stops the training with advice.

    Args:
        grace: share of the training before strips are judged, in [0, 1].
        least_rho: rank correlation between requested and obtained posterior below which the request counts as ignored.
        won: hinge loss of the discriminator below which it has won, and above 2 - `won` with scores that do not vary it is dead.
        patience: validations in a row that a discriminator may look collapsed.
    """

    grace: float = 0.5
    least_rho: float = 0.2
    won: float = 0.01
    patience: int = 3
    _bad: int = 0

    def step(self, terms: Mapping[str, Tensor]) -> None:
        """Refuse a loss that is NaN or infinite; `terms` are those of one step."""
        for name, value in terms.items():
            number = float(value.detach())
            if not math.isfinite(number):
                raise UserError(
                    f"exaggerator: training diverged, the loss term {name} is {number}; lower training.lr, "
                    "or use trainer=default (precision 32-true)"
                )

    def epoch(self, discriminator: float, scatter: float, rho: float, change: float, progress: float) -> None:
        """Judge one validation.

        Args:
            discriminator: mean hinge loss of the epoch, in [0, inf).
            scatter: standard deviation of its scores on the last batch.
            rho: rank correlation between requested and obtained posterior.
            change: mean absolute difference between the two ends of the strips.
            progress: share of the training done.
        """
        collapsed = discriminator < self.won or scatter < 1e-5
        self._bad = self._bad + 1 if collapsed else 0
        if self._bad >= self.patience:
            what = "always wins" if discriminator < self.won else "gives every image the same score"
            raise UserError(
                f"exaggerator: the discriminator has collapsed (it {what}: hinge loss {discriminator:.3g} for {self._bad} validations); "
                "lower training.d_steps or training.lr, or make the discriminator's width smaller (larger if it scores all alike)"
            )
        if progress >= self.grace and (not rho >= self.least_rho or change < 1e-3):
            raise UserError(
                f"exaggerator: the generator ignores the requested bin (rho {rho:.2f}, ends of a strip differ by {change:.4f} a pixel "
                f"after {progress:.0%} of the training); raise training.lambda_cls to 5-10 or lower training.lambda_rec to 10-20, "
                "or train longer (training.epochs)"
            )
