"""Search among the named attributes of an image, with or without its latent code."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.core.bounds import Weight
from counterfoil.core.errors import UserError
from counterfoil.core.generator import Edits
from counterfoil.core.query import Query
from counterfoil.search.candidate import END, Moment, Variables
from counterfoil.search.space import Space


class Attributes(Space):
    """Attributes a (B, A) under a fixed code: x' = G(E(x), a), a_0 = the attributes that the generator reads
    off x.

    A generator that is only conditioned on the class starts at the classifier's decision, one-hot.
    Counterfactuals carry the change of each attribute, 1 being the way from absent to present, and the
    reconstruction G(E(x), a_0).

    Args:
        names: of the attributes, as the generator has them.
        free: the attributes that may change; None: all.
        frozen: attributes that must not.
        overshoot: how far beyond [0, 1] an attribute may go.
        spread: see `Space`.

    Raises:
        UserError: a name that the generator lacks, or nothing left free.
    """

    held: tuple[str, ...] = ("a0", "z", "reconstruction")

    def __init__(
        self,
        names: Sequence[str],
        *,
        free: Sequence[str] | None = None,
        frozen: Sequence[str] = (),
        overshoot: Weight = 0.5,
        spread: Weight = 0.25,
    ) -> None:
        super().__init__(spread)
        self.names = tuple(names)
        self.free = free_attributes(self.names, free, frozen)
        self.overshoot = overshoot

    def start(self, query: Query) -> Variables:
        """The factual's attributes and code."""
        with torch.no_grad():
            a0 = _read(query)
            z = query.generator.encode(query.factual, a0)
            reconstruction = query.domain.shown(query.generator.decode(z, a0))
        a = torch.where(self._free_on(a0), self._disturb(query, a0), a0)
        return {"a": a, "a0": a0, "z": z, "reconstruction": reconstruction}

    def decode(self, query: Query, variables: Variables, moment: Moment = END) -> Tensor:
        """G(z, a), frozen attributes as they were."""
        image: Tensor = query.generator.decode(variables["z"], self._merged(variables))
        return image

    def project_(self, query: Query, variables: Variables) -> None:
        """Clamp the attributes to [-overshoot, 1 + overshoot]."""
        variables["a"].clamp_(-self.overshoot, 1 + self.overshoot)

    def extra(self, variables: Variables) -> Variables:
        """The reconstruction."""
        return {"reconstruction": variables["reconstruction"]}

    def changes(self, variables: Variables) -> Variables:
        """The change of each attribute (B,) under its name."""
        change = self._merged(variables) - variables["a0"]
        return {name: change[:, i] for i, name in enumerate(self.names)}

    def _merged(self, variables: Variables) -> Tensor:
        return torch.where(self._free_on(variables["a"]), variables["a"], variables["a0"])

    def _free_on(self, like: Tensor) -> Tensor:
        return torch.tensor(self.free, device=like.device)


class AttributeLatent(Attributes):
    """Attributes and code together: x' = G(z, a) from z_0 = E(x); counterfactuals carry |z - z_0| / |z_0|
    too.

    Args:
        see `Attributes`.
    """

    held = ("a0", "z0", "reconstruction")

    def start(self, query: Query) -> Variables:
        """The factual's code and attributes, in this order."""
        found = super().start(query)
        return {
            "z": found["z"],
            "a": found["a"],
            "a0": found["a0"],
            "z0": found["z"],
            "reconstruction": found["reconstruction"],
        }

    def extra(self, variables: Variables) -> Variables:
        """The reconstruction, and the relative change of the code (B,)."""
        z0 = variables["z0"].flatten(1)
        moved = (variables["z"].flatten(1) - z0).norm(dim=1) / z0.norm(dim=1).clamp(min=1e-12)
        return {**super().extra(variables), "latent_perturbation": moved}


def free_attributes(
    names: Sequence[str], free: Sequence[str] | None, frozen: Sequence[str]
) -> tuple[bool, ...]:
    """Which of the named attributes may change: all or those in `free`, without those in `frozen`."""
    given, barred = [str(name) for name in (names if free is None else free)], [str(name) for name in frozen]
    unknown = [name for name in (*given, *barred) if name not in names]
    if unknown:
        raise UserError(
            f"free, frozen: {unknown[0]} is no attribute of this generator; its attributes: "
            f"{', '.join(names)}"
        )
    mask = tuple(name in given and name not in barred for name in names)
    if not any(mask):
        raise UserError(
            f"free, frozen: all {len(names)} attributes are frozen, so nothing can change; free one of: "
            f"{', '.join(names)}"
        )
    return mask


def _read(query: Query) -> Tensor:
    if isinstance(query.generator, Edits):
        return query.generator.attributes(query.factual)
    return F.one_hot(query.source, int(query.generator.classes)).to(query.factual)
