"""Does the classifier's output follow the request along a strip?

Posteriors are on the scale of the requests. Those of `explainer=progressive` are calibrated (see `Knob`):
with tau > 1 they are milder than the classifier's own, so that errors can be compared for the same tau alone.
Within one target the rank correlation is the same; pooled over targets of different tau it is not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.entry import Entry
from counterfoil.core.query import reaches
from counterfoil.core.strip import Posteriors
from counterfoil.metric.base import SampleMetric, SetMetric
from counterfoil.util.rank import spearman


class StripSet(SetMetric):
    """A number over the requested and obtained posteriors of all strips together."""

    role = "strip"

    def embed(self, x: Tensor) -> Tensor:
        raise NotImplementedError("strips are read as a whole")

    def read(self, cf: Counterfactuals) -> Posteriors | None:
        """The posteriors of the strips; None where there are none."""
        return cf.posteriors

    def update(self, cf: Counterfactuals) -> None:
        """Keep requested and obtained posteriors side by side."""
        if len(cf):
            read = self.read(cf)
            nothing = torch.full((len(cf), 2), torch.nan, device=cf.factual.device)
            self.keep(cf, nothing if read is None else torch.cat((read.requested, read.obtained), dim=1))


class CompatibilityRho(StripSet):
    """Spearman's rank correlation between requested and obtained posterior, over all images of all strips.

    rho(p_k, q(x_k)), in [-1, 1], pooled over rows and images; equal requests share their mean rank.

    Source: Explanation by Progressive Exaggeration (Singla et al., ICLR 2020), arXiv 1911.00483,
    "compatibility with the black box"; the summary by a rank correlation is ours, others report Pearson's.
    """

    name = "compatibility_rho"
    minimum = -1.0
    maximum = 1.0
    higher_is_better = True

    def weighted(self, weights: Tensor) -> Tensor:
        rows = self.usable.nonzero()[:, 0]
        if not len(rows):
            return torch.full((len(weights),), torch.nan, dtype=torch.float64)
        return torch.tensor(
            [self._rho(rows.repeat_interleave(w[rows].long())) for w in weights.cpu()], dtype=torch.float64
        )

    def _rho(self, rows: Tensor) -> float:
        requested, obtained = self.features[rows].chunk(2, dim=1)
        return spearman(requested.flatten(), obtained.flatten()) if len(rows) else float("nan")


class OnStrip(SampleMetric):
    """A mean over the images of a strip."""

    role = "strip"
    minimum = 0.0
    maximum = 1.0

    def read(self, cf: Counterfactuals) -> Posteriors | None:
        """The posteriors of the strips; None where there are none."""
        return cf.posteriors

    def score(self, cf: Counterfactuals) -> Tensor:
        read = self.read(cf)
        return torch.full_like(cf.seconds, torch.nan) if read is None else self.along(read).mean(1)

    def along(self, read: Posteriors) -> Tensor:
        """The number for each image: (B, S)."""
        raise NotImplementedError


class CompatibilityMAE(OnStrip):
    """Mean absolute difference between requested and obtained posterior.

    mean_k |p_k - q(x_k)|, in [0, 1], of calibrated posteriors: see the head of this file before comparing.
    """

    name = "compatibility_mae"
    label = "Compatibility MAE"
    higher_is_better = False

    def along(self, read: Posteriors) -> Tensor:
        return (read.requested - read.obtained).abs()


class CompatibilityMSE(OnStrip):
    """Mean squared difference between requested and obtained posterior.

    mean_k (p_k - q(x_k))², in [0, 1], of calibrated posteriors: see the head of this file before comparing.
    """

    name = "compatibility_mse"
    label = "Compatibility MSE"
    higher_is_better = False

    def along(self, read: Posteriors) -> Tensor:
        return (read.requested - read.obtained).square()


class CompatibilityInside(OnStrip):
    """Share of a strip's images whose posterior lies in the bin requested.

    mean_k 1[bin(q(x_k)) = k], in [0, 1]; chance is 1 / bins.
    """

    name = "compatibility_inside"
    unit = "%"
    higher_is_better = True

    def along(self, read: Posteriors) -> Tensor:
        return read.inside


class ExtremeValidity(SampleMetric):
    """Share of strips whose last image the classifier puts in the target class.

    mean 1[argmax f(x_S) = t], in [0, 1]. The counterfactual itself may be an earlier image, the first that
    reaches the target.
    """

    name = "extreme_validity"
    role = "strip"
    higher_is_better = True
    boolean = True

    def score(self, cf: Counterfactuals) -> Tensor:
        if cf.strip is None or cf.strip.logits is None:
            return torch.full_like(cf.seconds, torch.nan)
        return reaches(cf.strip.logits[:, -1], cf.target).float().masked_fill(~cf.walked, torch.nan)


def curve(read: Posteriors, groups: int = 5) -> tuple[list[float], dict[str, list[Entry]]]:
    """Mean obtained against requested posterior, by the factual's own bin.

    x and series for `report.plot.curve`. Bands are the mean +- 1.96 standard errors. Groups of bins are named
    by their range of steps; empty ones are left out.
    """
    usable = read.requested.isfinite().all(1)
    bins = read.requested.shape[1]
    width = -(-bins // groups)
    series: dict[str, list[Entry]] = {}
    for first in range(0, bins, width):
        rows = usable & (read.source >= first) & (read.source < first + width)
        if bool(rows.any()):
            columns = read.obtained[rows].double().cpu().T
            last = min(first + width, bins) - 1
            series[f"from bin {first}" if last == first else f"from bins {first}-{last}"] = [
                _mean_entry(column) for column in columns
            ]
    return read.requested[usable].double().mean(0).tolist() if bool(usable.any()) else [], series


def _mean_entry(values: Tensor) -> Entry:
    mean = float(values.mean())
    margin = 1.96 * float(values.std()) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return Entry(mean, mean - margin, mean + margin, len(values), minimum=0.0, maximum=1.0)
