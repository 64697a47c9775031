"""Untrained image priors as places to search: each query has a network of its own, whose weights are the variables."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.query import Query
from counterfoil.search.candidate import Variables
from counterfoil.search.memory import rows_that_fit
from counterfoil.search.search import take_rows
from counterfoil.search.space import Space

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""


class Prior(Space):
    """x' = g_theta(.), with B networks of one shape as stacked weights: one call renders all B images, none sees another.

    Before the search the weights are fitted to the factual (the pre-image), each query until its own PSNR is reached. Weights start
    at draws of the query's own seed, or at those that `query.generator` holds if it is a trained start. Counterfactuals carry the `psnr` of their
    pre-image and the `fit_steps` it took.

    Args:
        psnr: decibels at which the fit of a query ends; queries that stay below are counted in a warning.
        steps, lr: of Adam, for the fit.
        spread: size of the disturbance of a trained start for every further counterfactual.
    """

    kept = ("psnr", "fit_steps")
    held = ("psnr", "fit_steps")
    name = "prior"

    def __init__(
        self, *, psnr: float = 30.0, steps: int = 500, lr: float = 4e-3, spread: float = 0.01
    ) -> None:
        super().__init__(spread)
        if steps < 0 or not lr > 0:
            raise UserError(
                f"prior {self.name}: expected steps >= 0 and lr > 0 for its fit, found steps={steps}, lr={lr:g}"
            )
        self.psnr, self.steps, self.lr = psnr, steps, lr

    @abstractmethod
    def weights(self, shape: Shape) -> dict[str, tuple[tuple[int, ...], float]]:
        """Name, shape and bound of the uniform initial draw of each weight of one network; UserError for images it cannot make."""

    @abstractmethod
    def render(self, weights: Mapping[str, Tensor], shape: Shape) -> Tensor:
        """Images (B, C, H, W) in [0, 1] of B networks, given weights (B, ...) by name."""

    @property
    @abstractmethod
    def blocks(self) -> tuple[tuple[str, ...], ...]:
        """Names of the weights in the order in which a parameter curriculum frees them: nearest to the output first."""

    def capacity(self, query: Query) -> int:
        """How many networks fit into the free memory, with the classifier's share."""
        return rows_that_fit(query, self.draw, self.decode, f"explainer: the {self.name} prior")

    def prepare(self, query: Query) -> None:
        """Fit the pre-images, and say how many are poor."""
        fitted = self.fit(query, self.draw(query))
        for name, value in fitted.items():
            query.remember(f"prior/{name}", lambda value=value: value)  # type: ignore[misc]
        poor = int((fitted["psnr"] < self.psnr).count_nonzero())
        if poor:
            low, middle = float(fitted["psnr"].min()), float(fitted["psnr"].median())
            warnings.warn(
                f"the {self.name} prior recovers {poor} of {len(query)} queries with less than {self.psnr:g} dB "
                f"(median {middle:.1f}, least {low:.1f}); their counterfactuals start elsewhere: "
                "give its fit more steps, or a larger network",
                CounterfoilWarning,
                stacklevel=2,
            )

    def start(self, query: Query) -> Variables:
        """The weights of the pre-images in the order of `blocks`, their PSNR (B,) in decibels and the steps (B,) it took."""
        if "prior/psnr" not in query.remembered:
            self.prepare(query)
        names = (name for block in self.blocks for name in block)
        return {name: query.remembered[f"prior/{name}"] for name in (*names, *self.held)}

    def decode(self, query: Query, variables: Variables) -> Tensor:
        """The image that each network renders."""
        return self.render(variables, shape_of(query))

    def draw(self, query: Query) -> Variables:
        """Weights before the fit: those of a trained start, or draws from the seed of each query."""
        wanted = self.weights(shape_of(query))
        trained = getattr(query.generator, "start", None)
        if trained is not None:
            _check_start(trained, wanted)
            rows = {
                name: trained[name].to(query.factual).expand(len(query), *shape)
                for name, (shape, _) in wanted.items()
            }
            return {name: self._disturb(query, value) for name, value in rows.items()}
        sizes = [torch.Size(shape).numel() for shape, _ in wanted.values()]
        uniform = 2 * query.rand(sum(sizes), stream=2) - 1
        parts = uniform.split(sizes, dim=1)
        return {
            name: bound * part.view(-1, *shape)
            for (name, (shape, bound)), part in zip(wanted.items(), parts, strict=True)
        }

    def fit(self, query: Query, weights: Variables) -> Variables:
        """theta_0 = argmin_theta mean (g_theta - x)^2 by Adam; a query ends where it reaches `psnr`, the others after `steps`."""
        return fit(
            lambda weights: self.render(weights, shape_of(query)),
            query.factual,
            weights,
            self.steps,
            self.lr,
            self.psnr,
        )


def fit(
    render: Callable[[Variables], Tensor],
    images: Tensor,
    weights: Variables,
    steps: int,
    lr: float,
    psnr: float,
) -> Variables:
    """Fit B networks to B images; returns their weights, under `psnr` what they reach (B,), and the `fit_steps` (B,)."""
    done = {name: value.detach().clone() for name, value in weights.items()}
    done |= {name: torch.zeros_like(images.flatten(1)[:, 0]) for name in ("psnr", "fit_steps")}
    places = torch.arange(len(images), device=images.device)
    variables = {name: value.detach().clone().requires_grad_() for name, value in weights.items()}
    optimizer = torch.optim.Adam(list(variables.values()), lr=lr)
    for step in range(steps + 1):
        error = (render(variables) - images).square().flatten(1).mean(1)
        reached = decibels(error.detach())
        leaving = reached >= psnr if step < steps else torch.ones_like(places, dtype=torch.bool)
        if bool(leaving.any()):
            for name, value in {
                **variables,
                "psnr": reached,
                "fit_steps": torch.full_like(reached, step),
            }.items():
                done[name][places[leaving]] = value.detach()[leaving]
            if bool(leaving.all()):
                break
        optimizer.zero_grad(set_to_none=True)
        error.sum().backward()
        optimizer.step()
        if bool(leaving.any()):
            variables, places, images = (
                take_rows(optimizer, variables, ~leaving),
                places[~leaving],
                images[~leaving],
            )
    return done


def decibels(error: Tensor) -> Tensor:
    """PSNR in dB of mean squared errors on a scale of 1; at most 120."""
    return -10 * error.clamp(min=1e-12).log10()


def shape_of(query: Query) -> Shape:
    """Channels, height and width of the query's images."""
    channels, height, width = query.factual.shape[1:]
    return channels, height, width


def _check_start(trained: Mapping[str, Tensor], wanted: Mapping[str, tuple[tuple[int, ...], float]]) -> None:
    found = {name: tuple(value.shape) for name, value in trained.items()}
    for name, (shape, _) in wanted.items():
        if found.get(name) != shape:
            raise UserError(
                f"start: the trained start has {found.get(name, 'no')} weights {name}, these images need {shape}; train it on the same data"
            )
