"""Realism of the set of counterfactuals in the judge's features."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Pair
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.data.base import Images
from counterfoil.metric.base import SetMetric
from counterfoil.metric.network import CHUNK, Borrowed


class Group(Protocol):
    """Which counterfactuals and which real images are compared, where it is not all of them."""

    def rows(self, cf: Counterfactuals) -> Tensor:
        """Whether each row belongs: bool (B,)."""
        ...

    def real(self, images: Images, order: Tensor) -> Tensor:
        """The images of this order (N,) that belong, by their index."""
        ...


class _JudgeDistance(SetMetric):
    """Compares features of all counterfactuals with those of real test images.

    The real images are a seeded draw from the test split, which the factuals come from too: leaving the input
    as it is scores well.
    """

    higher_is_better = False

    def __init__(
        self, judge: nn.Module | None, reference: Any, max_reference: Pair = 2000, group: Group | None = None
    ) -> None:
        super().__init__()
        self._judge = Borrowed(judge, self.name, "judge")
        self._reference = Borrowed(reference, self.name, "data")
        self.max_reference = max_reference
        self._group = group
        self._ready = False
        self._count = 0

    def update(self, cf: Counterfactuals) -> None:
        """Keep the features of a batch; NaN for rows that are not of the group."""
        super().update(cf)
        if self._group is not None and len(cf):
            self._features[-1] = self._features[-1].masked_fill(~self._group.rows(cf)[:, None], torch.nan)

    def embed(self, x: Tensor) -> Tensor:
        return self._judge(x, method="embed")

    def weighted(self, weights: Tensor) -> Tensor:
        if not self._ready:
            real = self._real()
            self._count = len(real)
            self._prepare(real)
            self._ready = True
        usable = self.usable
        return self._distances(
            torch.where(usable[:, None], self.features, 0.0), weights.cpu().double() * usable
        )

    @property
    def doubt(self) -> str:
        """Too few counterfactuals, or too few real images."""
        held = {"counterfactuals": int(self.usable.sum()), "real images": self._count}
        few = [f"{n} {what}" for what, n in held.items() if n < self.fewest]
        return f"{self.name}: {' and '.join(few)}, expected {self.fewest} or more" if few else ""

    @abstractmethod
    def _prepare(self, real: Tensor) -> None:
        """Keep what is needed of the real features (M, D), float64."""

    @abstractmethod
    def _distances(self, features: Tensor, weights: Tensor) -> Tensor:
        """Distance of each weighted set: features (N, D), weights (R, N), both float64 -> (R,)."""

    def _real(self) -> Tensor:
        images = self._reference.net.queried
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        rows = (
            (order if self._group is None else self._group.real(images, order))[: self.max_reference]
            .sort()
            .values
        )
        return torch.cat([self.embed(images[part].x) for part in torch.split(rows, CHUNK)]).cpu().double()


class JudgeFID(_JudgeDistance):
    """Fréchet distance between the judge's features of counterfactuals and of real images.

    ||m - m_r||² + tr(C + C_r - 2 (C_r^1/2 C C_r^1/2)^1/2), in [0, inf), over all rows, in float64; m and C
    mean and unbiased covariance. The value falls as rows are added: compare it for equal counts only.

    Args:
        judge: an independent classifier with `embed`, images (B, C, H, W) in [0, 1] -> (B, D).
        reference: a data module; its test split is the real images.
        max_reference: the most real images used, at least 2.
        group: compares these rows with these real images alone; None: all.

    Departures: features of the judge, not of an Inception network; not comparable with published values.
    Source: GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et al.,
    2017), arXiv 1706.08500
    """

    name = "fid_judge"
    label = "FID (judge)"
    main = True
    minimum = 0.0

    @property
    def fewest(self) -> int:  # type: ignore[override]
        """One more than there are features: fewer give a covariance of lower rank."""
        return self.features.shape[1] + 1

    def _prepare(self, real: Tensor) -> None:
        self._mean = real.mean(0)
        if len(real) < 2:  # no covariance, and so no distance
            self._root, self._trace = real.new_zeros(real.shape[1], real.shape[1]), real.new_tensor(torch.nan)
            return
        spread = covariance(real, torch.ones(len(real), dtype=real.dtype))
        self._root, self._trace = root(spread), spread.trace()

    def _distances(self, features: Tensor, weights: Tensor) -> Tensor:
        return torch.stack([self._distance(features, row) for row in weights])

    def _distance(self, features: Tensor, weights: Tensor) -> Tensor:
        if weights.sum() < 2:
            return torch.tensor(torch.nan, dtype=torch.float64)
        mean = weights @ features / weights.sum()
        return _apart(mean, covariance(features, weights), self._mean, self._root, self._trace)


class JudgeKID(_JudgeDistance):
    """Kernel distance between the judge's features of counterfactuals and of real images.

    Unbiased MMD² with k(a, b) = (a.b / D + 1)³, over all rows, in float64; about 0, or a little below, for
    equal distributions. A pair of one row with its own repetition is left out, so that resamples are unbiased
    too.

    Args:
        judge: an independent classifier with `embed`, images (B, C, H, W) in [0, 1] -> (B, D).
        reference: a data module; its test split is the real images.
        max_reference: the most real images used, at least 2.
        group: as in `JudgeFID`.

    Departures: features of the judge, not of an Inception network; all rows at once instead of an average
        over random subsets.
    Source: Demystifying MMD GANs (Bińkowski et al., 2018), arXiv 1801.01401
    """

    name = "kid_judge"
    label = "KID (judge)"
    fewest = 50

    def _prepare(self, real: Tensor) -> None:
        self._features_real = real
        self._within_real = _within(real, torch.ones(1, len(real), dtype=real.dtype))[0]

    def _distances(self, features: Tensor, weights: Tensor) -> Tensor:
        between = torch.cat(
            [_kernel(part, self._features_real).mean(1) for part in torch.split(features, CHUNK)]
        )
        return _within(features, weights) + self._within_real - 2 * (weights @ between) / weights.sum(1)


class ValidFID(JudgeFID):
    """Fréchet distance of the valid counterfactuals alone to real images, in the judge's features.

    See `JudgeFID`. A method that leaves the input as it is has nothing to show here.

    Args:
        judge, reference, max_reference: see `JudgeFID`.
    """

    name = "fid_judge_valid"
    label = "FID (judge), valid"
    main = False

    def __init__(self, judge: nn.Module | None, reference: Any, max_reference: Pair = 2000) -> None:
        super().__init__(judge, reference, max_reference, _Valid())


class _Valid:
    """The valid counterfactuals and all real images."""

    def rows(self, cf: Counterfactuals) -> Tensor:
        return cf.valid

    def real(self, images: Images, order: Tensor) -> Tensor:
        return order


def frechet(mean: Tensor, spread: Tensor, other_mean: Tensor, other_spread: Tensor) -> Tensor:
    """Fréchet distance () of two normal distributions by their means (D,) and covariances (D, D).

    ||m - n||² + tr(C + S - 2 (S^1/2 C S^1/2)^1/2), in [0, inf)
    """
    return _apart(mean, spread, other_mean, root(other_spread), other_spread.trace())


def _apart(mean: Tensor, spread: Tensor, other_mean: Tensor, other_root: Tensor, trace: Tensor) -> Tensor:
    common = torch.linalg.eigvalsh(other_root @ spread @ other_root).clamp(min=0).sqrt().sum()
    # rounding may leave a distance of nearly nothing a little below it
    distance: Tensor = (mean - other_mean).square().sum() + spread.trace() + trace - 2 * common
    return distance.clamp(min=0)


def root(spread: Tensor) -> Tensor:
    """The symmetric square root of a covariance (D, D)."""
    values, vectors = torch.linalg.eigh(spread)
    found: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return found


def covariance(x: Tensor, weights: Tensor) -> Tensor:
    """Unbiased covariance (D, D) of rows x (N, D) that occur `weights` (N,) times."""
    n = weights.sum()
    centred = x - weights @ x / n
    return (centred * weights[:, None]).T @ centred / (n - 1)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """Cubic polynomial kernel (N, M) of rows a (N, D) and b (M, D)."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def _within(x: Tensor, weights: Tensor) -> Tensor:
    """Mean kernel (R,) of all pairs of different rows of x (N, D), for weights (R, N); NaN without a pair."""
    total = torch.zeros(len(weights), dtype=x.dtype)
    for part, w in zip(torch.split(x, CHUNK), torch.split(weights, CHUNK, dim=1), strict=True):
        total += (w * (weights @ _kernel(x, part))).sum(1)
    own = (x.square().sum(1) / x.shape[1] + 1) ** 3
    squares = weights.square()
    return (total - squares @ own) / (weights.sum(1).square() - squares.sum(1))
