"""The way back through diffusion over a code, steered by the classifier where the diffusion agrees."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.bounds import Angle, Count, Share, Weight
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search.candidate import END, Candidate, Moment, Variables
from counterfoil.search.denoising import START, WayBack
from counterfoil.search.detail import Detail
from counterfoil.search.term import Term


class TellsWeight(Term):
    """A term beside the variable `weight` of the space, which is 0 and whose gradient is the term's weight.

    Args:
        term: the flip, whose weight is the trade-off of the query.
    """

    def __init__(self, term: Term) -> None:
        super().__init__()
        self.term = term
        self.images, self.siblings = term.images, term.siblings

    def layers(self, classifier: nn.Module) -> tuple[str, ...]:
        """Those of the term."""
        return self.term.layers(classifier)

    def fit(self, classifier: nn.Module, data: Any) -> None:
        """Fit the term."""
        self.term.fit(classifier, data)

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """The value (B,) of the term."""
        return self.term(query, candidate) + candidate.variables["weight"]


class LatentDenoising(WayBack):
    """z_tau of the factual's code, drawn back to z_0 by a noise that classifier and distance have turned.

    e' = e - |d| (w unit(agreed(u, d)) + lambda unit(v)),  d = e - e_t,  z_s by e' as without new noise

    e and e_t are the noise told in z_t without a class and given the target; u and v are minus the gradients
    of the flip and of mean |x - x_0| at z_t, x_0 the image of its estimate, w the flip's weight, see
    `TellsWeight`. d is what the diffusion's implicit classifier moves; `agreed` is 0 where u leaves it by
    more than gamma; unit(v) = v / |v|, and 0 of 0.

    Args:
        tau, steps: see `WayBack`.
        gamma: angle in degrees; 180 keeps all of u.
        patch: neighbouring coordinates of the code whose angle is taken together; the last may be fewer.
        lambda_: length of the pull to the factual, in |d|.
        detail: gives back what the generator cannot draw of the factual, see `Detail`.

    Source: Latent Diffusion Counterfactual Explanations (Farid et al., 2023), arXiv 2310.06668.

    Raises:
        UserError: a generator of another number of classes than the classifier has.
    """

    held = ("noisy", "step")

    def __init__(
        self,
        tau: Share = 0.4,
        steps: Count = 20,
        *,
        gamma: Angle = 45.0,
        patch: Count = 1,
        lambda_: Weight = 4.0,
        detail: Detail | None = None,
    ) -> None:
        super().__init__(tau, steps)
        self.gamma = gamma
        self.patch = patch
        self.lambda_ = lambda_
        self.detail = detail

    def prepare(self, query: Query) -> None:
        """Compare the classes; decode the factual's own code, where its detail is wanted."""
        known, own = query.logits.shape[1], query.generator.classes
        if known != own:
            raise UserError(
                f"explainer ldce: its generator has {own} classes, the classifier {known}; train one "
                "on labels that are the classifier's classes with train.py explainer=ldce"
            )
        if self.detail is not None:
            self._reconstruction(query)

    @torch.no_grad()
    def start(self, query: Query) -> Variables:
        """z_tau, and neither push nor weight yet."""
        code: Tensor = query.generator.code(query.factual)
        t = self.levels(query)[0].expand(len(code))
        noisy = query.generator.noised(code, t, query.randn(*code.shape[1:], stream=START))
        push, weight, step = torch.zeros_like(code), code.new_zeros(len(code)), code.new_zeros(len(code))
        return {"push": push, "weight": weight, "noisy": noisy, "step": step}

    def decode(self, query: Query, variables: Variables, moment: Moment = END) -> Tensor:
        """The image of the estimate at z_t, moved by the push."""
        t = self.levels(query)[variables["step"].detach().long()]
        return self._image(query, variables["noisy"] + variables["push"], t)

    def step(self, query: Query, now: Variables, step: int) -> Variables:
        """z_s, from z_t at a step."""
        generator, noisy, levels = query.generator, now["noisy"], self.levels(query)
        t, s = levels[step].expand(len(noisy)), levels[step + 1].expand(len(noisy))
        told = generator(noisy, t)
        implicit = told - generator(noisy, t, query.target)
        weight = -now["weight"][:, None]
        turned = weight * F.normalize(agreed(now["push"], implicit, self.gamma, self.patch))
        if self.lambda_:
            turned = turned + self.lambda_ * F.normalize(self._pull(query, noisy, t))
        told = told - implicit.norm(dim=1, keepdim=True) * turned
        return {"noisy": generator.back(noisy, told, t, s)}

    @torch.enable_grad()
    def _pull(self, query: Query, noisy: Tensor, t: Tensor) -> Tensor:
        """v (B, Z)."""
        at = noisy.detach().requires_grad_()
        image = query.keep(self._image(query, at, t))
        gradient: Tensor = torch.autograd.grad((image - query.factual).abs().sum(), at)[0]
        return -gradient

    def _image(self, query: Query, noisy: Tensor, t: Tensor) -> Tensor:
        generator = query.generator
        image: Tensor = generator.image(generator.estimate(noisy, generator(noisy, t), t))
        return image if self.detail is None else self.detail(query, image, self._reconstruction(query))

    @torch.no_grad()
    def _reconstruction(self, query: Query) -> Tensor:
        """The image of the factual's code, once for each query."""
        generator = query.generator
        return query.remember("reconstruction", lambda: generator.image(generator.code(query.factual)))


def agreed(push: Tensor, guide: Tensor, gamma: float, patch: int) -> Tensor:
    """A push (B, Z) with 0 in the patches in which it leaves a guide (B, Z) by more than gamma degrees."""
    if gamma >= 180:  # where the cosine would be rounded
        return push
    short = -push.shape[1] % patch
    parts, guides = (F.pad(value, (0, short)).unflatten(1, (-1, patch)) for value in (push, guide))
    far = (parts * guides).sum(2) < math.cos(math.radians(gamma)) * parts.norm(dim=2) * guides.norm(dim=2)
    kept: Tensor = parts.masked_fill(far[:, :, None], 0).flatten(1)[:, : push.shape[1]]
    return kept
