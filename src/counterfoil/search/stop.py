"""When a query is finished."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from counterfoil.core.bounds import Whole, checks_options


@checks_options
@dataclass(frozen=True)
class Stop:
    """A query is finished once its counterfactual has not improved for `patience` steps.

    A counterfactual counts from the requested confidence on.

    Attributes:
        patience: further steps granted after the last improvement; 0 stops at the first counterfactual, None
            never stops early.
    """

    patience: Whole | None = 0

    def __call__(self, found: Tensor, idle: Tensor) -> Tensor:
        """Finished queries: bool (B,), given which have a counterfactual (B,) and the steps since their last
        improvement (B,).
        """
        if not self.patience:
            return found if self.patience == 0 else found & False
        return found & (idle >= self.patience)
