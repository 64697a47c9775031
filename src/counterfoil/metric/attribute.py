"""Changes of attributes as the counterfactuals declare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.batches import Rows
from counterfoil.core.bounds import Weight
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.core.query import reaches
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import Borrowed

MOVED = 0.25
"""An attribute has moved once it changed by more than this."""


def declared_metrics(cf: Rows, classifier: Any) -> dict[str, SampleMetric]:
    """Metrics of what counterfactuals declare: each attribute's change; the gate, given reconstructions."""
    gate: dict[str, SampleMetric] = (
        {ReconstructionGate.name: ReconstructionGate(classifier)} if "reconstruction" in cf.extra else {}
    )
    return gate | {f"{AttributeChange.name}/{name}": AttributeChange(name) for name in cf.changes}


class AttributeChange(SampleMetric):
    """Mean absolute change of one attribute.

    mean |a'_j - a_j|, 1 being the way from absent to present, as the method declares it.

    Args:
        attribute: its name.
    """

    name = "attribute_change"
    minimum = 0.0
    higher_is_better = None

    def __init__(self, attribute: str) -> None:
        super().__init__()
        self.attribute = attribute

    def score(self, cf: Counterfactuals) -> Tensor:
        return cf.changes[self.attribute].abs()


class AttributeL1(SampleMetric):
    """Total change of all attributes.

    sum_j |a'_j - a_j|, as the method declares it; not defined for methods that declare none.
    """

    name = "attribute_l1"
    label = "Attribute L1"
    minimum = 0.0
    higher_is_better = False
    also_valid = True

    def score(self, cf: Counterfactuals) -> Tensor:
        return _sum(cf.changes, cf)


class AttributesMoved(SampleMetric):
    """Number of attributes that move by more than 0.25.

    sum_j 1[|a'_j - a_j| > threshold], as the method declares it; not defined for methods that declare none.

    Args:
        threshold: smallest change that counts, exclusive.
        classifier: where given, an attribute that is one of its classes is not counted: what remains are the
            *other* attributes.
    """

    name = "attributes_moved"
    minimum = 0.0
    higher_is_better = False
    also_valid = True

    def __init__(self, threshold: Weight = MOVED, classifier: Any = None) -> None:
        super().__init__()
        self.threshold = threshold
        self.own = tuple(getattr(classifier, "class_names", None) or ())

    def score(self, cf: Counterfactuals) -> Tensor:
        own = {part for name in self.own for part in name.split("+")}
        return _sum(
            {
                name: (value.abs() > self.threshold).float()
                for name, value in cf.changes.items()
                if name not in own
            },
            cf,
        )


class CausalScore(SampleMetric):
    """Share of the change that lies on the attributes which the classifier was built to use.

    sum_{j in causes} |a'_j - a_j| / sum_j |a'_j - a_j|, in [0, 1]; not defined for rows without change.

    Args:
        causes: names of the attributes that truly decide.
    """

    name = "causal_score"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = True

    def __init__(self, causes: Sequence[str | None]) -> None:
        super().__init__()
        self.causes = tuple(part for name in causes if name is not None for part in name.split("+"))
        if not self.causes:
            raise UserError(
                "metric.causal_score.causes names no attribute; "
                "set it, or attribute=, to what the classifier was built to use"
            )

    def score(self, cf: Counterfactuals) -> Tensor:
        changes = cf.changes
        unknown = [name for name in self.causes if name not in changes]
        if changes and unknown:
            raise UserError(
                f"metric.causal_score.causes: {unknown[0]} is not among the attributes that change: "
                f"{', '.join(changes)}"
            )
        return _sum({name: value for name, value in changes.items() if name in self.causes}, cf) / _sum(
            changes, cf
        )


class LatentPerturbation(SampleMetric):
    """Relative change of the latent code.

    ||z' - z_0||_2 / ||z_0||_2, as the method declares it; not defined for methods that do not move a code.
    Source of the name: Yang et al. (2021), arXiv 2101.06930; the formula is ours.
    """

    name = "latent_perturbation"
    minimum = 0.0
    higher_is_better = False
    also_valid = True

    def score(self, cf: Counterfactuals) -> Tensor:
        found = cf.extra.get("latent_perturbation")
        # NaN: the row was returned as it was
        return _undefined(cf) if found is None else torch.where(found.isnan(), 0.0, found)


class FlippingRatio(SampleMetric):
    """Share of the queries not already in the target class that end in it.

    mean 1[argmax f(x') = t] over rows with argmax f(x) != t, in [0, 1].
    Source of the name: Yang et al. (2021), arXiv 2101.06930; the formula is ours.
    """

    name = "flipping_ratio"
    higher_is_better = True
    boolean = True

    def score(self, cf: Counterfactuals) -> Tensor:
        return torch.where(cf.source == cf.target, torch.nan, cf.valid.float())


class ReconstructionGate(SampleMetric):
    """Share of queries whose reconstruction alone keeps the classifier's decision.

    mean 1[argmax f(G(E(x))) = argmax f(x)], in [0, 1], where the counterfactual carries the reconstruction:
    failures tell of the generative model, not of the classifier.

    Args:
        classifier: the model explained, images (B, C, H, W) in [0, 1] -> logits (B, K).
    """

    name = "reconstruction_gate"
    higher_is_better = True
    boolean = True

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        self._classifier = Borrowed(classifier, self.name, "classifier")

    def score(self, cf: Counterfactuals) -> Tensor:
        image = cf.extra.get("reconstruction")
        if image is None:
            return _undefined(cf)
        declared = image.isfinite().flatten(1).all(1)
        kept = reaches(self._classifier(image.nan_to_num()), cf.source).float()
        return torch.where(declared, kept, torch.nan)


def _sum(parts: Mapping[str, Tensor], cf: Counterfactuals) -> Tensor:
    """The sum of non-negative parts (B,); not defined where the counterfactuals declare nothing at all."""
    if not cf.changes:
        return _undefined(cf)
    zero = torch.zeros(len(cf), device=cf.factual.device)
    return sum((value.abs() for value in parts.values()), zero)


def _undefined(cf: Counterfactuals) -> Tensor:
    return torch.full((len(cf),), torch.nan, device=cf.factual.device)
