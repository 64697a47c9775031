"""Search in the code of a generative model that has no encoder, or a poor one."""

from __future__ import annotations

import torch
from torch import Tensor

from counterfoil.core.bounds import Count, Positive, Weight
from counterfoil.core.query import Query
from counterfoil.search.candidate import Variables
from counterfoil.search.space import Latent


class InvertedLatent(Latent):
    """z_0 = argmin_z mean (G(z) - x)^2 + penalty * mean z^2, by optimisation, the best of several starts.

    Args:
        restarts: random normal starts, >= 1; each query draws its own.
        steps, lr: of Adam.
        penalty: weight of the code's size.
        spread: see `Space`.
    """

    trial = 32
    refills = False

    def __init__(
        self,
        *,
        restarts: Count = 5,
        steps: Count = 300,
        lr: Positive = 0.05,
        penalty: Weight = 1e-3,
        spread: Weight = 0.5,
    ) -> None:
        super().__init__(spread)
        self.restarts, self.steps, self.lr, self.penalty = restarts, steps, lr, penalty

    def trial_start(self, query: Query) -> Variables:
        """Codes of zeros (B, Z)."""
        return {"z": query.factual.new_zeros(len(query), int(query.generator.latent))}

    def start(self, query: Query) -> Variables:
        """The best code (B, Z) of all restarts."""
        latent = int(query.generator.latent)
        tries = [self._descend(query, query.randn(latent, stream=100 + k)) for k in range(self.restarts)]
        errors = torch.stack([error for _, error in tries])
        codes = torch.stack([code for code, _ in tries])
        best = codes[errors.argmin(0), torch.arange(len(query), device=codes.device)]
        return {"z": self._disturb(query, best)}

    def _descend(self, query: Query, start: Tensor) -> tuple[Tensor, Tensor]:
        z = start.requires_grad_()
        optimizer = torch.optim.Adam([z], lr=self.lr)
        for _ in range(self.steps):
            optimizer.zero_grad(set_to_none=True)
            self._error(query, z).sum().backward()
            optimizer.step()
        with torch.no_grad():
            return z.detach(), self._error(query, z)

    def _error(self, query: Query, z: Tensor) -> Tensor:
        distance = (self.decode(query, {"z": z}) - query.factual).square().flatten(1).mean(1)
        return distance + self.penalty * z.square().flatten(1).mean(1)
