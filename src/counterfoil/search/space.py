"""The variables of a search and the input that they stand for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.bounds import Share, Weight
from counterfoil.core.domain import Continuous, Domain
from counterfoil.core.options import shows_options
from counterfoil.core.query import Query
from counterfoil.search.candidate import END, Moment, Variables
from counterfoil.search.detail import Detail
from counterfoil.search.memory import PLENTY, rows_that_fit


@shows_options
class Space(ABC):
    """A stateless recipe: hyperparameters only; the query brings data and networks.

    Args:
        spread: scale of the random start of every further counterfactual (`count` > 1); the first
            counterfactual starts undisturbed.
    """

    kept: tuple[str, ...] = ()
    """Names of the variables worth returning beside the counterfactual."""
    held: tuple[str, ...] = ()
    """Names of the variables that the search carries along without moving them, such as the starting point.
    """
    refills: bool = True
    """Whether queries may come into a search one after the other: not where a start is a search of its own,
    which is quick for many at once alone, or where each query holds much memory."""
    inputs: type[Domain] = Domain
    """The kind of input that it can move."""
    trial = 256
    """Images on which starting points are tried before a search."""

    def __init__(self, spread: Weight = 0.0) -> None:
        self.spread = spread

    def prepare(self, query: Query) -> None:
        """Called once before a search, to work out and `remember` what every round of it starts from.

        Nothing by default.
        """
        return

    def fit(self, classifier: nn.Module, generator: Any, data: Any) -> None:
        """Learn from data what starting points need; nothing by default."""
        return

    def spent(self, query: Query) -> Tensor | int:
        """Images that the classifier was shown for each query in `prepare`: (B,), or as many for all."""
        return 0

    def capacity(self, query: Query) -> int:
        """How many of the queries fit into the free memory at once."""
        return rows_that_fit(query, self.trial_start, self.decode, "the search", PLENTY)

    def trial_start(self, query: Query) -> Variables:
        """Variables as large as those of `start`, which they are unless that is a search of its own."""
        return self.start(query)

    @abstractmethod
    def start(self, query: Query) -> Variables:
        """Starting point, each tensor with a leading B."""

    @abstractmethod
    def decode(self, query: Query, variables: Variables, moment: Moment = END) -> Tensor:
        """Inputs (B, C, H, W) that the variables stand for at this moment, differentiable in them."""

    def gradable(self, query: Query, moment: Moment) -> Tensor | None:
        """Whether what is decoded now may be a counterfactual: bool (B,), or None where all may."""
        return None

    def project_(self, query: Query, variables: Variables) -> None:
        """Move the variables back into their domain, in place; nothing to do by default."""
        return

    def extra(self, variables: Variables) -> Variables:
        """What is returned beside a counterfactual found at these variables: those in `kept` by default."""
        return {name: variables[name] for name in self.kept}

    def changes(self, variables: Variables) -> Variables:
        """The declared change (B,) of each attribute by name at these variables.

        {} in a space without attributes.
        """
        return {}

    def _disturb(self, query: Query, value: Tensor) -> Tensor:
        if query.repeat is None or not self.spread or not bool(query.repeat.any()):
            return value
        noise = self.spread * query.randn(*value.shape[1:], stream=1)
        return torch.where((query.repeat > 0).view(-1, *[1] * (value.ndim - 1)), value + noise, value)


class Pixels(Space):
    """The input itself, kept in [0, 1]."""

    inputs = Continuous

    def __init__(self, spread: Weight = 0.05) -> None:
        super().__init__(spread)

    def start(self, query: Query) -> Variables:
        """The factual."""
        return {"x": self._disturb(query, query.factual).clamp(0, 1)}

    def decode(self, query: Query, variables: Variables, moment: Moment = END) -> Tensor:
        """The variables are the input."""
        return variables["x"]

    def project_(self, query: Query, variables: Variables) -> None:
        """Clamp to [0, 1]."""
        variables["x"].clamp_(0, 1)


class Ball(Pixels):
    """The input itself, in [0, 1] and nowhere further from the factual than the radius.

    Args:
        radius: largest change of a pixel.
    """

    def __init__(self, radius: Share) -> None:
        super().__init__(spread=0.0)
        self.radius = radius

    def start(self, query: Query) -> Variables:
        """The factual; for further counterfactuals a point drawn evenly from the ball."""
        x = query.factual
        if query.repeat is None or not bool(query.repeat.any()):
            return {"x": x}
        drawn = (x + self.radius * (2 * query.rand(*x.shape[1:], stream=1) - 1)).clamp(0, 1)
        return {"x": torch.where((query.repeat > 0).view(-1, 1, 1, 1), drawn, x)}

    def project_(self, query: Query, variables: Variables) -> None:
        """Clamp to [0, 1] and to the ball."""
        x = query.factual
        variables["x"].clamp_((x - self.radius).clamp(min=0), (x + self.radius).clamp(max=1))


class Latent(Space):
    """The code of a generative model: z_0 = E(x), decoded by G(z).

    A class-conditional model encodes under the classifier's own decision and decodes under the target.

    Args:
        spread: see `Space`.
        detail: gives back what the model cannot draw of the factual, see `Detail`; None: G(z) as it is.
    """

    kept = ("z",)

    def __init__(self, spread: Weight = 0.5, detail: Detail | None = None) -> None:
        super().__init__(spread)
        self.detail = detail

    def prepare(self, query: Query) -> None:
        """Decode the factual's own code, where its detail is wanted."""
        if self.detail is not None:
            self._reconstruction(query)

    def start(self, query: Query) -> Variables:
        """The factual's code (B, Z)."""
        return {"z": self._disturb(query, self.code(query))}

    @torch.no_grad()
    def code(self, query: Query) -> Tensor:
        """z_0 = E(x), (B, Z)."""
        code: Tensor = query.generator.encode(query.factual, condition_of(query, query.source))
        return code

    def decode(self, query: Query, variables: Variables, moment: Moment = END) -> Tensor:
        """G(z), or G(z, target) where the model is conditional, with the factual's detail where asked."""
        image: Tensor = query.generator.decode(variables["z"], condition_of(query, query.target))
        return image if self.detail is None else self.detail(query, image, self._reconstruction(query))

    @torch.no_grad()
    def _reconstruction(self, query: Query) -> Tensor:
        """G(E(x)), once for each query."""
        condition, generator = condition_of(query, query.source), query.generator
        return query.remember(
            "reconstruction",
            lambda: generator.decode(generator.encode(query.factual, condition), condition),
        )


def condition_of(query: Query, labels: Tensor) -> Tensor | None:
    """Classes (B,) one-hot, where the query's generative model is conditioned on the class; else None."""
    classes = int(getattr(query.generator, "classes", 0))
    return F.one_hot(labels, classes).to(query.factual) if classes else None
