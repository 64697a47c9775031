"""Does the classifier's own posterior follow the request along a strip?

The figures that others publish for progressive exaggeration. Where requests are calibrated (temperature
tau, see `Knob`), a requested q stands for the classifier's own posterior sigmoid(tau logit q); for tau = 1,
and for methods that request the classifier's own posterior, nothing changes.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.strip import Posteriors, Scale
from counterfoil.metric.compatibility import OnStrip, StripSet


class _Own:
    """Reads strips on the classifier's own scale."""

    def read(self, cf: Counterfactuals) -> Posteriors | None:
        """The posteriors of the strips; None where nothing is requested."""
        return own_posteriors(cf)


class OwnPearson(_Own, StripSet):
    """Pearson's correlation between requested and obtained posterior of the classifier, uncalibrated.

    r(p_k, f_t(x_k)), in [-1, 1], pooled over rows and images.

    Source: consistency with the requested confidence, in The Gaussian Discriminant Variational Autoencoder
    (Haselhoff et al., ECCV 2024), arXiv 2409.12952; there with progressive exaggeration among others.
    """

    name = "own_pearson"
    label = "Pearson, own posterior"
    minimum = -1.0
    maximum = 1.0
    higher_is_better = True

    def weighted(self, weights: Tensor) -> Tensor:
        usable = self.usable
        if not bool(usable.any()):
            return torch.full((len(weights),), torch.nan, dtype=torch.float64)
        x, y = self.features[usable].double().cpu().chunk(2, dim=1)
        # about the overall means, so that the products below do not cancel
        x, y = x - x.mean(), y - y.mean()
        moments = torch.stack([part.mean(1) for part in (x, y, x * x, y * y, x * y)], dim=1)
        share = weights.cpu().double()[:, usable.cpu()]
        mx, my, xx, yy, xy = (share @ moments / share.sum(1, keepdim=True)).unbind(1)
        return (xy - mx * my) / ((xx - mx**2) * (yy - my**2)).sqrt()


class OwnMSE(_Own, OnStrip):
    """Mean squared difference between requested and obtained posterior of the classifier, uncalibrated.

    mean_k (p_k - f_t(x_k))², in [0, 1].

    Source: see `OwnPearson`.
    """

    name = "own_mse"
    label = "MSE, own posterior"
    higher_is_better = False

    def along(self, read: Posteriors) -> Tensor:
        return (read.requested - read.obtained).square()


class OwnBin(_Own, OnStrip):
    """Share of a strip's images in the requested one of S bins of equal width on the classifier's posterior.

    mean_k 1[floor(S f_t(x_k)) = floor(S p_k)], in [0, 1]; S images make S bins.

    Source: see `OwnPearson`.
    """

    name = "own_bin"
    label = "In the requested bin, own posterior"
    unit = "%"
    higher_is_better = True

    def along(self, read: Posteriors) -> Tensor:
        bins = read.requested.shape[1]
        wanted, found = ((bins * q).floor().clamp(max=bins - 1) for q in (read.requested, read.obtained))
        return (wanted == found).to(wanted).masked_fill(read.requested.isnan(), torch.nan)


def own_posteriors(cf: Counterfactuals) -> Posteriors | None:
    """Requests and results of strips as posteriors of the classifier itself; None where nothing is requested.

    NaN for rows without requests.
    """
    strip = cf.strip
    if strip is None or strip.requested is None:
        return None
    scale = strip.scale or Scale.plain(cf.target, strip.requested)
    requested = (scale.temperature[:, None] * torch.logit(strip.requested)).sigmoid()
    own = scale._replace(temperature=torch.ones_like(scale.temperature))
    return replace(strip, requested=requested, scale=own).posteriors(cf.target, cf.factual_logits)
