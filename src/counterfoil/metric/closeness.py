"""Whether images of a strip stay nearest to their own query in the generator's code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterfoil.core.bounds import Count
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.metric.base import SetMetric
from counterfoil.metric.network import CHUNK, Borrowed


class LatentCloseness(SetMetric):
    """Latent space closeness: share of a strip's images whose own query is among their nearest neighbours.

    All factuals and strips are encoded and reduced by PCA. An image succeeds if its query is among its 11
    nearest codes, and every code ranked before belongs to the same query. In [0, 1]; the pool is the first
    `pool` rows with a strip, the value falls as it grows.

    Args:
        generator: encodes.
        neighbours: nearest codes looked at.
        components: of the PCA; fewer where the pool has fewer.
        pool: largest number of strips.

    Source: code of Explanation by Progressive Exaggeration (Singla et al., ICLR 2020), arXiv 1911.00483; the
    factuals' own codes are in the pool, which that code's later version replaces by generated ones.
    """

    name = "latent_closeness"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = True

    _codes: list[Tensor]

    def __init__(
        self, generator: Any, neighbours: Count = 11, components: Count = 300, pool: Count = 500
    ) -> None:
        super().__init__()
        self._generator = Borrowed(generator, self.name, "explainer=progressive and its generator")
        if getattr(generator, "conditioned_encoder", False):
            raise UserError(
                f"metric={self.name} needs an encoder that is not told the bin; train with "
                "net.conditioned_encoder=false"
            )
        self.neighbours, self.components, self.pool = neighbours, components, pool
        self.add_state("_codes", default=[], dist_reduce_fx="cat")
        self._share: Tensor | None = None

    def embed(self, x: Tensor) -> Tensor:
        return self._generator(x, method="encode").flatten(1)

    def update(self, cf: Counterfactuals) -> None:
        """Keep the codes of factual and strip of the rows in the pool; NaN marks the other rows."""
        self._share = None
        mark = torch.full((len(cf), 1), torch.nan)
        if cf.strip is not None:
            held = sum(map(len, self._codes))
            use = (cf.walked & (cf.walked.cumsum(0) <= self.pool - held)).cpu().nonzero()[:, 0]
            codes = self._encoded(cf[use])
            whole = codes.isfinite().flatten(1).all(1)
            if cf.failed is not None:
                whole &= ~cf.failed.cpu()[use]
            self._codes.append(codes if bool(whole.all()) else codes[whole])
            mark[use[whole]] = 0.0
        self._features.append(mark)

    def _encoded(self, cf: Counterfactuals) -> Tensor:
        """The codes (B, 1 + S, Z) of factual and strip, on the CPU."""
        assert cf.strip is not None
        images = torch.cat((cf.factual[:, None], cf.strip.images.to(cf.factual)), dim=1)
        self._frames = images.shape[1]
        if not len(cf):
            return torch.zeros(0, self._frames, 0)
        flat = images.flatten(0, 1)
        parts = range(0, len(flat), CHUNK)
        codes = torch.cat([self.embed(flat[first : first + CHUNK]).float().cpu() for first in parts])
        return codes.view(len(cf), self._frames, -1)

    def weighted(self, weights: Tensor) -> Tensor:
        usable = self.usable
        if int(usable.sum()) < 2:
            return torch.full((len(weights),), torch.nan, dtype=torch.float64)
        if self._share is None:
            self._codes = [torch.cat([part for part in self._codes if len(part)])]
            self._share = self._success(self._codes[0])
        chosen = weights.cpu().double()[:, usable]
        return chosen @ self._share / chosen.sum(1)

    def _success(self, codes: Tensor) -> Tensor:
        """Share of successes (N,) of codes (N, 1 + S, Z)."""
        pool = codes.flatten(0, 1)
        pool = pool - pool.mean(0)
        rank = min(self.components, *pool.shape)
        if rank < pool.shape[1]:
            generator_state = torch.random.get_rng_state()
            torch.manual_seed(0)
            pool = pool @ torch.pca_lowrank(pool, q=rank, center=False, niter=2)[2]
            torch.random.set_rng_state(generator_state)
        place = torch.arange(len(pool))
        owner, frame = place // self._frames, place % self._frames
        wins = torch.cat(
            [self._nearest(pool, rows, owner, frame) for rows in torch.split(place[frame > 0], 1024)]
        )
        return wins.double().view(len(codes), -1).mean(1)

    def _nearest(self, pool: Tensor, rows: Tensor, owner: Tensor, frame: Tensor) -> Tensor:
        distance = torch.cdist(pool[rows], pool)
        distance[torch.arange(len(rows)), rows] = torch.inf
        near = distance.topk(min(self.neighbours, len(pool) - 1), largest=False).indices
        mine = owner[near] == owner[rows][:, None]
        hit = mine & (frame[near] == 0)
        return (hit & (mine.cumprod(1) > 0)).any(1)
