"""Search in the weights of an untrained image prior: each query has a network of its own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping

from torch import Tensor

from counterfoil.core.domain import Continuous
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.query import Query
from counterfoil.generative.prior.base import Prior, Shape
from counterfoil.generative.prior.dip import DIP
from counterfoil.generative.prior.inr import INR
from counterfoil.search.candidate import END, Moment, Variables
from counterfoil.search.memory import rows_that_fit
from counterfoil.search.space import Space

PRIORS: dict[str, Callable[..., Prior]] = {"inr": INR, "dip": DIP}
"""By the name that an option gives them."""


class PriorWeights(Space):
    """x' = g_theta(.), with B networks of one shape as stacked weights: one call renders all B images.

    Before the search the weights are fitted to the factual (the pre-image), each query until its own PSNR is
    reached. Weights start at draws of the query's own seed, or at those that `query.generator` holds if it is
    a trained start. Counterfactuals carry the `psnr` of their pre-image and the `fit_steps` it took.

    Args:
        prior: g, "inr" or "dip" at its defaults, or a prior.

    Raises:
        UserError: an unknown name.
    """

    kept = ("psnr", "fit_steps")
    held = ("psnr", "fit_steps")
    inputs = Continuous
    refills = False

    def __init__(self, prior: str | Prior = "inr") -> None:
        if isinstance(prior, str):
            if prior not in PRIORS:
                raise UserError(f"prior={prior} is not supported; choose one of: {', '.join(PRIORS)}")
            prior = PRIORS[prior]()
        super().__init__(prior.spread)
        self.prior = prior

    @property
    def blocks(self) -> tuple[tuple[str, ...], ...]:
        """Names of the variables in the order in which a parameter curriculum frees them."""
        return self.prior.blocks

    def capacity(self, query: Query) -> int:
        """How many networks fit into the free memory, with the classifier's share."""
        return rows_that_fit(query, self.draw, self.decode, f"explainer: the {self.prior.name} prior")

    def prepare(self, query: Query) -> None:
        """Fit the pre-images, and say how many are poor."""
        fitted = self.prior.fit(query.factual, self.draw(query))
        for name, value in fitted.items():
            query.remember(f"prior/{name}", lambda value=value: value)  # type: ignore[misc]
        poor = int((fitted["psnr"] < self.prior.psnr).count_nonzero())
        if poor:
            low, middle = float(fitted["psnr"].min()), float(fitted["psnr"].median())
            warnings.warn(
                f"the {self.prior.name} prior recovers {poor} of {len(query)} queries with less than "
                f"{self.prior.psnr:g} dB (median {middle:.1f}, least {low:.1f}); their counterfactuals start "
                "elsewhere: give its fit more steps, or a larger network",
                CounterfoilWarning,
                stacklevel=2,
            )

    def start(self, query: Query) -> Variables:
        """The weights of the pre-images in the order of `blocks`, their PSNR (B,) in decibels and its steps
        (B,).
        """
        if "prior/psnr" not in query.remembered:
            self.prepare(query)
        names = (name for block in self.blocks for name in block)
        return {name: query.remembered[f"prior/{name}"] for name in (*names, *self.held)}

    def decode(self, query: Query, variables: Variables, moment: Moment = END) -> Tensor:
        """The image that each network renders."""
        return self.prior.render(variables, shape_of(query))

    def draw(self, query: Query) -> Variables:
        """Weights before the fit: those of a trained start, or draws from the seed of each query."""
        wanted = self.prior.weights(shape_of(query))
        trained = getattr(query.generator, "start", None)
        if trained is not None:
            _check_start(trained, wanted)
            rows = {
                name: trained[name].to(query.factual).expand(len(query), *shape)
                for name, (shape, _) in wanted.items()
            }
            return {name: self._disturb(query, value) for name, value in rows.items()}
        sizes = [math.prod(shape) for shape, _ in wanted.values()]
        uniform = 2 * query.rand(sum(sizes), stream=2) - 1
        parts = uniform.split(sizes, dim=1)
        return {
            name: bound * part.view(-1, *shape)
            for (name, (shape, bound)), part in zip(wanted.items(), parts, strict=True)
        }


def shape_of(query: Query) -> Shape:
    """Channels, height and width of the query's images."""
    channels, height, width = query.factual.shape[1:]
    return channels, height, width


def _check_start(trained: Mapping[str, Tensor], wanted: Mapping[str, tuple[tuple[int, ...], float]]) -> None:
    found = {name: tuple(value.shape) for name, value in trained.items()}
    for name, (shape, _) in wanted.items():
        if found.get(name) != shape:
            raise UserError(
                f"start: the trained start has {found.get(name, 'no')} weights {name}, these images need "
                f"{shape}; "
                "train it on the same data"
            )
