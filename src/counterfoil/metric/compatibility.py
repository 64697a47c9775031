"""Does the classifier's output follow the request along a progressive strip?"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.metric.base import SampleMetric, SetMetric
from counterfoil.metric.network import Borrowed
from counterfoil.util.rank import spearman


class Posteriors(NamedTuple):
    """Requested and obtained calibrated posteriors of the target (B, S), whether each image lies in its bin, and the factual's bin (B,)."""

    requested: Tensor
    obtained: Tensor
    inside: Tensor
    source: Tensor


class StripReader:
    """Asks the classifier about each image of `path`, on the scale of the generator's knob.

    All values are calibrated posteriors q of the row's target, for that is what is requested (see `Knob`): with tau > 1 they are
    milder than the classifier's own, so that errors can be compared for the same tau alone. Within one target the rank
    correlation is the same; pooled over targets of different tau it is not.

    Args:
        classifier: images -> logits (B, K).
        generator: the `Exaggerator` that drew the strips.
        metric: the metric that reads them, for errors.
    """

    def __init__(self, classifier: nn.Module | None, generator: Any, metric: str) -> None:
        self.classifier = Borrowed(classifier, metric, "classifier")
        self.generator = Borrowed(generator, metric, "explainer=progressive and its generator")
        if not hasattr(generator, "knob"):
            raise UserError(
                f"metric={metric} needs the generator of explainer=progressive, found {type(generator).__name__}"
            )

    def __call__(self, cf: Counterfactuals) -> Posteriors:
        """NaN where a row has no strip: another method's, or a query that needed no change."""
        knob = self.generator.net.knob
        strip = cf.extra.get("requested")
        if cf.path is None or strip is None or strip.shape[1] != knob.bins:
            nothing = torch.full((len(cf), knob.bins), torch.nan)
            return Posteriors(nothing, nothing, nothing, nothing[:, 0])
        home = knob.temperature.device
        slot, up = (part[:, None] for part in knob.serve(cf.target.to(home)))
        slots = slot.expand(-1, knob.bins).flatten()
        logits = self.classifier(cf.path.flatten(0, 1)).to(knob.temperature)
        log_odds = knob.log_odds(logits, slots)
        q = (log_odds / knob.temperature[slots]).sigmoid().view(-1, knob.bins)
        asked = torch.arange(knob.bins, device=home)
        inside = knob.bin_of(log_odds, slots).view(-1, knob.bins) == torch.where(
            up, asked, knob.bins - 1 - asked
        )
        own = knob.bin_of(knob.log_odds(cf.factual_logits.to(knob.temperature), slot[:, 0]), slot[:, 0])
        gap = strip.isnan().to(home)
        parts = (
            strip,
            torch.where(up, q, 1 - q),
            inside.to(q),
            torch.where(up[:, 0], own, knob.bins - 1 - own).to(q),
        )
        found = [
            part.to(home).masked_fill(gap if part.ndim == 2 else gap[:, 0], torch.nan).to(cf.factual.device)
            for part in parts
        ]
        return Posteriors(*found)


class CompatibilityRho(SetMetric):
    """Spearman's rank correlation between requested and obtained posterior, over all images of all strips.

    rho(p_k, q(x_k)), in [-1, 1], pooled over rows and bins; equal requests share their mean rank.

    Args:
        classifier, generator: see `StripReader`.

    Source: Explanation by Progressive Exaggeration (Singla et al., ICLR 2020), arXiv 1911.00483, "compatibility with the black
    box"; the summary by a rank correlation is ours, others report Pearson's.
    """

    name = "compatibility_rho"
    higher_is_better = True

    def __init__(self, classifier: nn.Module | None, generator: Any) -> None:
        super().__init__()
        self._read = StripReader(classifier, generator, self.name)

    def embed(self, x: Tensor) -> Tensor:
        raise NotImplementedError("strips are read as a whole")

    def update(self, cf: Counterfactuals) -> None:
        """Keep requested and obtained posteriors side by side."""
        if len(cf):
            strips = self._read(cf)
            self._features.append(torch.cat((strips.requested, strips.obtained), dim=1))

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


class _OnStrip(SampleMetric):
    """A mean over the images of a strip."""

    def __init__(self, classifier: nn.Module | None, generator: Any) -> None:
        super().__init__()
        self._read = StripReader(classifier, generator, self.name)

    def score(self, cf: Counterfactuals) -> Tensor:
        return self.along(self._read(cf)).mean(1)

    def along(self, strips: Posteriors) -> Tensor:
        """The number for each image: (B, S)."""
        raise NotImplementedError


class CompatibilityMAE(_OnStrip):
    """Mean absolute difference between requested and obtained posterior.

    mean_k |p_k - q(x_k)|, in [0, 1], of calibrated posteriors: see `StripReader` before comparing.
    """

    name = "compatibility_mae"
    higher_is_better = False

    def along(self, strips: Posteriors) -> Tensor:
        return (strips.requested - strips.obtained).abs()


class CompatibilityMSE(_OnStrip):
    """Mean squared difference between requested and obtained posterior.

    mean_k (p_k - q(x_k))², in [0, 1], of calibrated posteriors: see `StripReader` before comparing.
    """

    name = "compatibility_mse"
    higher_is_better = False

    def along(self, strips: Posteriors) -> Tensor:
        return (strips.requested - strips.obtained).square()


class CompatibilityInside(_OnStrip):
    """Share of a strip's images whose posterior lies in the bin requested.

    mean_k 1[bin(q(x_k)) = k], in [0, 1]; chance is 1 / bins.
    """

    name = "compatibility_inside"
    higher_is_better = True

    def along(self, strips: Posteriors) -> Tensor:
        return strips.inside


class ExtremeValidity(SampleMetric):
    """Share of strips whose last image the network puts in the target class.

    mean 1[argmax f(x_S) = t], in [0, 1]; with the judge as network, the judge's agreement at the end of the strip. The counterfactual itself
    is the first image that reaches the target, an earlier one.

    Args:
        classifier: images -> logits (B, K); the classifier explained, or the judge.
    """

    name = "extreme_validity"
    higher_is_better = True
    boolean = True

    def __init__(self, classifier: nn.Module | None) -> None:
        super().__init__()
        self._network = Borrowed(classifier, self.name, "classifier")

    def score(self, cf: Counterfactuals) -> Tensor:
        if cf.path is None or "requested" not in cf.extra:
            return torch.full((len(cf),), torch.nan)
        valid = (self._network(cf.path[:, -1]).argmax(1) == cf.target).float()
        return valid.masked_fill(cf.extra["requested"][:, 0].isnan(), torch.nan)


def curve(strips: Posteriors, groups: int = 5) -> tuple[list[float], dict[str, list[dict[str, float]]]]:
    """Mean obtained against requested posterior, by the factual's own bin: x and series for `report.plot.curve`.

    Bands are the mean +- 1.96 standard errors. Groups of bins are named by their range of steps; empty ones are left out.
    """
    usable = strips.requested.isfinite().all(1)
    bins = strips.requested.shape[1]
    width = -(-bins // groups)
    series: dict[str, list[dict[str, float]]] = {}
    for first in range(0, bins, width):
        rows = usable & (strips.source >= first) & (strips.source < first + width)
        if bool(rows.any()):
            columns = strips.obtained[rows].double().cpu().T
            last = min(first + width, bins) - 1
            series[f"from bin {first}" if last == first else f"from bins {first}-{last}"] = [
                _mean_entry(column) for column in columns
            ]
    return strips.requested[usable].double().mean(0).tolist() if bool(usable.any()) else [], series


def _mean_entry(values: Tensor) -> dict[str, float]:
    mean = float(values.mean())
    margin = 1.96 * float(values.std()) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return {"value": mean, "low": mean - margin, "high": mean + margin}
