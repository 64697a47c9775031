"""True effects of attributes on a classifier, measured on data with known attributes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.metric.base import Figure, FigureMetric
from counterfoil.metric.network import Borrowed, over


class Effects:
    """How much each attribute moves the classifier's probability of class 1 over the test images.

    |mean f_1 with it - mean f_1 without it|, over images without the attributes that never occur beside it;
    the attribute's effect where attributes are independent otherwise.

    Args:
        classifier: the model explained, two classes.
        data: test images with attributes.
        metric: for errors.
    """

    def __init__(self, classifier: nn.Module | None, data: Any, metric: str) -> None:
        self._classifier = Borrowed(classifier, metric, "classifier")
        self._data = Borrowed(data, metric, "data").net
        self.metric = metric
        if not self._data.attribute_names:
            raise UserError(
                f"metric={metric} needs data with attributes, such as data=avatars or data=celeba; "
                f"leave it out for data={self._data.name}"
            )

    def __deepcopy__(self, memo: dict[int, Any]) -> Effects:
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes of the data."""
        return tuple(self._data.attribute_names)

    @cached_property
    def by_name(self) -> dict[str, float]:
        """The effect of each attribute, in [0, 1]; NaN where all images have it, or none."""
        test = self._data.queried
        logits = over(test, self._classifier)
        if logits.shape[1] != 2:
            raise UserError(
                f"metric={self.metric} needs two classes, found {logits.shape[1]}; set attribute="
            )
        p, has = logits.softmax(1)[:, 1].cpu(), test.attributes > 0
        alone = ~(has.float() @ never_together(has).float()).bool()
        return {
            name: float((p[has[:, j] & alone[:, j]].mean() - p[~has[:, j] & alone[:, j]].mean()).abs())
            for j, name in enumerate(self.names)
        }


def never_together(has: Tensor) -> Tensor:
    """Which attributes (N, A) no image shows at once: bool (A, A); one that none shows is in no pair."""
    together = has.double().T @ has.double()
    shown = together.diagonal() > 0
    return (together == 0) & shown & shown[:, None]


class TrueEffect(FigureMetric):
    """How much an attribute moves the classifier's probability over the test images.

    |mean f_1 with it - mean f_1 without it|, in [0, 1], see `Effects`. A figure of the classifier, the same
    for every method.

    Args:
        effects: shared by all attributes.
        attribute: its name.
    """

    name = "true_effect"
    higher_is_better = None
    minimum, maximum = 0.0, 1.0

    def __init__(self, effects: Effects, attribute: str) -> None:
        super().__init__()
        self.effects, self.attribute = effects, attribute

    def figure(self) -> Figure:
        """The effect; its interval is not estimated."""
        return Figure(self.effects.by_name[self.attribute], n=len(self.effects._data.queried))


def true_effects(classifier: nn.Module | None, data: Any) -> Mapping[str, TrueEffect]:
    """A `TrueEffect` for each attribute of the data, by the name it is reported as."""
    effects = Effects(classifier, data, TrueEffect.name)
    return {f"{TrueEffect.name}/{name}": TrueEffect(effects, name) for name in effects.names}
