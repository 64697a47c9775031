"""Accuracy where attributes go together otherwise than in training; decisions that one attribute turns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.generator import Decodes, Edits, Encodes
from counterfoil.metric.base import Figure, FigureMetric
from counterfoil.metric.bootstrap import wilson
from counterfoil.metric.network import Borrowed, over

WORLDS = ("unbiased", "as_trained", "inverted")
DRAWN = 500
"""Test images that are drawn anew."""


class Decided:
    """Whether the classifier is right on each test image, and whether the planted attributes agree there.

    Args:
        classifier: the model explained.
        data: test images with attributes, in which the two are independent.
        spurious: {first, second, strength}: how often they agree in training; None: "unbiased" alone counts.
    """

    def __init__(self, classifier: nn.Module | None, data: Any, spurious: Mapping[str, Any] | None) -> None:
        self._classifier = Borrowed(classifier, "worlds", "classifier")
        self._data = Borrowed(data, "worlds", "data").net
        if not isinstance(spurious, Mapping | None):
            raise UserError(
                f"metric=worlds: data.spurious plants {len(spurious)} correlations; it tells the worlds of "
                "one: set metric.worlds.spurious to that"
            )
        self.spurious = spurious

    def __deepcopy__(self, memo: dict[int, Any]) -> Decided:
        return self

    @cached_property
    def correct(self) -> Tensor:
        """Whether the decision is the label: bool (N,)."""
        labels: Tensor = self._data.queried.labels
        return over(self._data.queried, self._classifier).argmax(1).cpu() == labels

    @cached_property
    def agree(self) -> Tensor:
        """Whether an image has both attributes, or neither: bool (N,)."""
        assert self.spurious is not None
        columns = [self._data.attribute_names.index(self.spurious[key]) for key in ("first", "second")]
        both: Tensor = self._data.queried.attributes[:, columns]
        return both[:, 0] == both[:, 1]


class Accuracy(FigureMetric):
    """The classifier's accuracy where two attributes agree as often as in training, as seldom, or freely.

    s * (accuracy where they agree) + (1 - s) * (accuracy where they differ), in [0, 1]: s the training's
    strength in the world "as_trained", one minus it in "inverted"; "unbiased" is the accuracy on the test
    images as they are. Intervals: Wilson's of the parts, joined by squares. A figure of the classifier, the
    same for every method.

    Args:
        decided: shared by all worlds.
        world: unbiased, as_trained or inverted.
    """

    name = "accuracy"
    higher_is_better = True
    unit, minimum, maximum = "%", 0.0, 1.0

    def __init__(self, decided: Decided, world: str) -> None:
        super().__init__()
        self.decided, self.world = decided, world

    def figure(self) -> Figure:
        """The accuracy and its interval."""
        correct, spurious = self.decided.correct, self.decided.spurious
        if self.world == "unbiased":
            return share(correct)
        if spurious is None:
            return Figure()
        s = spurious["strength"] if self.world == "as_trained" else 1 - spurious["strength"]
        agree = self.decided.agree
        parts = [(s, correct[agree].double()), (1 - s, correct[~agree].double())]
        value = sum(w * float(part.mean()) for w, part in parts)
        bounds = [(w, wilson(float(part.mean()), len(part))) for w, part in parts]
        half = sum((w * (high - low) / 2) ** 2 for w, (low, high) in bounds) ** 0.5
        return Figure(value, value - half, value + half, len(correct))


def worlds(
    classifier: nn.Module | None, data: Any, spurious: Mapping[str, Any] | None
) -> Mapping[str, Accuracy]:
    """The accuracy in each world, by the name it is reported as; see `Decided`."""
    decided = Decided(classifier, data, spurious)
    return {f"{Accuracy.name}_{world}": Accuracy(decided, world) for world in WORLDS}


class TurnedByGenerator(FigureMetric):
    """Share of decisions on test images that turn when the generator edits one attribute alone.

    mean 1[argmax f(G(z, a with it)) differs from argmax f(G(z, a without it))], z = E(x), a the generator's
    reading; in [0, 1]. A figure of the classifier, the same for every method.

    Args:
        classifier: the model explained.
        generator: edits attributes.
        data: has test images.
        attribute: which, such as a protected one.
    """

    name = "turned_generator"
    higher_is_better = False
    unit, minimum, maximum = "%", 0.0, 1.0

    def __init__(self, classifier: nn.Module | None, generator: Any, data: Any, attribute: str) -> None:
        super().__init__()
        self._classifier = Borrowed(classifier, self.name, "classifier")
        self._generator = Borrowed(generator, self.name, "generative=attgan generative")
        self._data = Borrowed(data, self.name, "data").net
        if not all(isinstance(generator, ability) for ability in (Encodes, Decodes, Edits)):
            raise UserError(
                f"metric=turned needs a generator that edits attributes, found {type(generator).__name__}; "
                "set generative=attgan"
            )
        self.column = _place(attribute, generator.attribute_names)
        self._kept: Figure | None = None

    def figure(self) -> Figure:
        """The share; computed once."""
        if self._kept is None:
            self._kept = share(over(self._data.queried, self._turned))
        return self._kept

    def _turned(self, x: Tensor) -> Tensor:
        z, a = self._generator(x, method="encode"), self._generator(x, method="attributes")
        said = []
        for present in (0.0, 1.0):
            edited = a.clone()
            edited[:, self.column] = present
            said.append(self._classifier(self._generator(z, edited, method="decode")).argmax(1))
        return said[0] != said[1]


class TurnedDrawn(FigureMetric):
    """Share of decisions on test images that turn when the image is drawn anew with one attribute turned.

    mean 1[argmax f(x) differs from argmax f(x with it turned)] over the first 500 test images, in [0, 1]; not
    defined for data that cannot be drawn. A figure of the classifier, the same for every method.

    Args:
        classifier: the model explained.
        data: draws twins, as data=avatars does.
        attribute: which.
    """

    name = "turned_drawn"
    higher_is_better = False
    unit, minimum, maximum = "%", 0.0, 1.0

    def __init__(self, classifier: nn.Module | None, data: Any, attribute: str) -> None:
        super().__init__()
        self._classifier = Borrowed(classifier, self.name, "classifier")
        self._data = Borrowed(data, self.name, "data").net
        self.attribute = attribute
        self._kept: Figure | None = None

    def figure(self) -> Figure:
        """The share; computed once."""
        if not callable(getattr(self._data, "twins", None)):
            return Figure()
        if self._kept is None:
            n = min(DRAWN, len(self._data.queried))
            own, twin = (
                over(images, self._classifier).argmax(1)
                for images in (self._data.queried.take(slice(0, n)), self._data.twins(self.attribute, n))
            )
            self._kept = share(own != twin)
        return self._kept


def turned(
    classifier: nn.Module | None, generator: Any, data: Any, attribute: str | None
) -> Mapping[str, FigureMetric]:
    """Both shares of decisions that one attribute turns, by the name they are reported as.

    Args: see `TurnedByGenerator`.
    """
    if attribute is None:
        raise UserError("metric=turned: set metric.turned.attribute to the attribute that is edited")
    if attribute not in data.attribute_names:
        _place(attribute, data.attribute_names)
    return {
        TurnedByGenerator.name: TurnedByGenerator(classifier, generator, data, attribute),
        TurnedDrawn.name: TurnedDrawn(classifier, data, attribute),
    }


def share(hits: Tensor) -> Figure:
    """The share of true values (N,), with Wilson's interval."""
    value = float(hits.double().mean())
    return Figure(value, *wilson(value, len(hits)), len(hits))


def _place(attribute: str, names: Any) -> int:
    if attribute not in names:
        raise UserError(
            f"metric.turned.attribute={attribute} is not known; known: {', '.join(names) or 'none'}"
        )
    return int(list(names).index(attribute))
