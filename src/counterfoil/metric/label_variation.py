"""How far the prediction depends on one attribute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from counterfoil.core.bounds import Whole
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.core.query import probability_of
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import Borrowed


class LabelVariation(SampleMetric):
    """Change of the target's probability when one attribute of the factual moves alone to its farther end.

    mean |f_t(G(E(x), a with a_j turned)) - f_t(G(E(x), a))|, in [0, 1]; a fact of classifier and generator on
    these queries, the same for every method. The name is the literature's, the formula ours.

    Args:
        classifier: the model explained, images (B, C, H, W) in [0, 1] -> logits (B, K).
        generator: edits attributes.
        attribute: place of the attribute among the generator's.
    """

    name = "label_variation"
    higher_is_better = None

    def __init__(self, classifier: nn.Module | None, generator: Any, attribute: Whole) -> None:
        super().__init__()
        self._classifier = Borrowed(classifier, self.name, "classifier")
        self._generator = Borrowed(generator, self.name, "generator")
        self.attribute = attribute

    def score(self, cf: Counterfactuals) -> Tensor:
        code = self._generator(cf.factual, method="encode")
        a = self._generator(cf.factual, method="attributes")
        turned = a.clone()
        turned[:, self.attribute] = (a[:, self.attribute] < 0.5).to(a)
        before, after = (
            self._classifier(self._generator(code, condition, method="decode")) for condition in (a, turned)
        )
        return (probability_of(after, cf.target) - probability_of(before, cf.target)).abs()


def label_variations(classifier: nn.Module | None, generator: Any) -> Mapping[str, LabelVariation]:
    """A `LabelVariation` for each attribute of the generator, by the name it is reported as."""
    if not hasattr(generator, "attribute_names"):
        raise UserError(
            "metric=label_variation needs a generator with attributes; set generative=attgan, or leave it out"
        )
    return {
        f"label_variation/{name}": LabelVariation(classifier, generator, i)
        for i, name in enumerate(generator.attribute_names)
    }
