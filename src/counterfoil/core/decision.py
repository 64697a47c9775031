"""Turns the outputs of a network into K logits, so that every method explains every kind of model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from counterfoil.core.bounds import Positive
from counterfoil.core.errors import UserError
from counterfoil.core.options import shows_options


@shows_options
class Decision(ABC):
    """A rule that reads K >= 2 class logits off a network's raw outputs."""

    class_names: tuple[str, ...] | None = None
    """Names of the classes where the rule itself knows them, else None."""

    @abstractmethod
    def __call__(self, outputs: Tensor) -> Tensor:
        """Map raw outputs (B, ...) to logits (B, K)."""

    def bind(self, attribute_names: Sequence[str]) -> Decision:
        """The same rule with names resolved against the data's attributes; itself where it has no names."""
        return self


class Classes(Decision):
    """Logits (B, K) of K classes, as they are; log-probabilities are logits too.

    One logit s (B, 1) is that of the second of two classes: (-s/2, s/2); softmax equals sigmoid(s).
    """

    def __call__(self, outputs: Tensor) -> Tensor:
        if outputs.ndim != 2:
            raise UserError(
                f"decision Classes() expects logits of shape (B, K), found {tuple(outputs.shape)}"
            )
        return outputs if outputs.shape[1] > 1 else _two_way(outputs[:, 0])


class Probabilities(Decision):
    """Class probabilities (B, K) as logits: log p, which a softmax turns back into p."""

    def __call__(self, outputs: Tensor) -> Tensor:
        if outputs.ndim != 2 or outputs.shape[1] < 2:
            raise UserError(
                f"decision Probabilities() expects shape (B, K) with K >= 2, found {tuple(outputs.shape)}; "
                "for one probability set decision=sigmoid"
            )
        return outputs.clamp(min=torch.finfo(outputs.dtype).tiny).log()


class Attribute(Decision):
    """One column of a multi-label network as two classes: s -> (-s/2, s/2); softmax equals sigmoid(s).

    Args:
        name: the attribute's name among the data's attributes; "A+B" stands for both at once, s the smaller
            of theirs. Not needed for a network with one output.
        index: the column, or columns, where names are unknown.
    """

    outputs: tuple[str, ...] = ()
    """Names of all columns, where `name` was found among them."""

    def __init__(self, name: str | None = None, index: int | Sequence[int] | None = None) -> None:
        self.name = name
        self.index = None if index is None else (index,) if isinstance(index, int) else tuple(index)
        label = name or (f"output {'+'.join(map(str, self.index))}" if self.index is not None else None)
        if label is not None:
            self.class_names = (f"not {label}", label)

    def among(self, outputs: Sequence[str]) -> bool:
        """Whether these name the columns that `name` can be found in, rather than its two classes."""
        wanted = self.index is None and self.name is not None and set(outputs) != set(self.class_names or ())
        return wanted and all(part in outputs for part in self._parts(outputs))

    def _parts(self, names: Sequence[str]) -> list[str]:
        return [str(self.name)] if self.name in names else str(self.name).split("+")

    def bind(self, attribute_names: Sequence[str]) -> Attribute:
        """Find the column of `name`; raises UserError with the known names where it is missing."""
        if self.index is not None or self.name is None:
            return self
        parts = self._parts(attribute_names)
        if not all(part in attribute_names for part in parts):
            raise UserError(
                f"attribute={self.name} is not in the data; "
                f"known attributes: {', '.join(attribute_names) or 'none'}"
            )
        bound = type(self)(self.name, [list(attribute_names).index(part) for part in parts])
        bound.outputs = tuple(attribute_names)
        return bound

    def __call__(self, outputs: Tensor) -> Tensor:
        outputs = outputs.reshape(outputs.shape[0], -1)
        number = outputs.shape[1]
        if number == 1:
            return _two_way(outputs[:, 0])
        if self.outputs and number != len(self.outputs):
            raise UserError(
                f"decision Attribute({self.name!r}): the network has {number} outputs, the attributes known "
                f"are {len(self.outputs)}; name its outputs: classifier.class_names=[...], or set "
                "classifier.decision.index="
            )
        if self.index is None:
            raise UserError(
                f"decision Attribute({self.name!r}) needs `index` for a network with {number} outputs"
            )
        if not all(0 <= column < number for column in self.index):
            raise UserError(
                f"decision Attribute({self.name!r}): the network has no column {max(self.index)}, "
                f"expected 0..{number - 1}"
            )
        return _two_way(outputs[:, list(self.index)].amin(1))


class Sigmoid(Attribute):
    """Probabilities out of a sigmoid, one or several columns: undone, s = log p - log(1 - p).

    One column is the second of two classes; several are one class each, or with `name` or `index` the
    attribute as in `Attribute`. Where p rounds to 0 or 1 nothing is left to undo: a network without its
    sigmoid is better explained.

    Args:
        name, index: the attribute, see `Attribute`; None: every column is a class.
    """

    def __call__(self, outputs: Tensor) -> Tensor:
        limits = torch.finfo(outputs.dtype)
        p = outputs.clamp(limits.tiny, 1 - limits.eps)
        logits = p.log() - torch.log1p(-p)
        classes = outputs.ndim == 2 and outputs.shape[1] > 1 and self.class_names is None
        return logits if classes else super().__call__(logits)


class Threshold(Decision):
    """A regression output r (B,) or (B, 1) against a value: s = (r - value) / scale -> (-s/2, s/2).

    Args:
        value: the boundary, in the output's unit.
        scale: the difference from `value` that counts as one logit, > 0.
    """

    def __init__(self, value: float, scale: Positive = 1.0) -> None:
        self.value = value
        self.scale = scale
        self.class_names = (f"below {value:g}", f"above {value:g}")

    def __call__(self, outputs: Tensor) -> Tensor:
        outputs = outputs.reshape(outputs.shape[0], -1)
        if outputs.shape[1] != 1:
            raise UserError(f"decision Threshold expects one output per input, found {outputs.shape[1]}")
        return _two_way((outputs[:, 0] - self.value) / self.scale)


RULES: dict[str, type[Decision]] = {
    "logits": Classes,
    "probabilities": Probabilities,
    "sigmoid": Sigmoid,
    "attribute": Attribute,
    "threshold": Threshold,
}
"""Every rule by the name of its yaml in conf/decision."""


def _two_way(score: Tensor) -> Tensor:
    return torch.stack((-score / 2, score / 2), dim=1)
