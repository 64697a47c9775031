"""Codes of which each counterfactual of a query may move another part, told by a Fisher information."""

from __future__ import annotations

from typing import Any, Literal

import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Weight
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search.candidate import END, Moment, Variables
from counterfoil.search.space import Latent

Masks = Literal["none", "chunk", "spectral", "spectral_inverse"]
"""Which coordinates the i-th counterfactual may move, see `MaskedLatent`."""


class MaskedLatent(Latent):
    """z = z_0 + m_i (z - z_0) for the i-th counterfactual of a query, m_i in {0, 1}^Z

    F = E_x E_{y ~ f(G(E(x)))} g g^T,  g = d log f_y(G(z)) / dz at z = E(x),  over training images

    Masks: "none": all coordinates move. "chunk": all but the i-th of `count` chunks of the coordinates,
    ranked by the diagonal of F, most influential first. "spectral": the i-th of `count` clusters of the
    coordinates alone, by F as affinity; "spectral_inverse": all but it. A single counterfactual moves all.

    Args:
        count: counterfactuals per query.
        masks: as above.
        examples: training images over which F is taken, the first ones.
        spread: see `Latent`.

    Source: Beyond Trivial Counterfactual Explanations with Diverse Valuable Explanations (Rodriguez et al.,
    2021), arXiv 2103.10226.

    Raises:
        UserError: more counterfactuals than coordinates to be blocked; no training images.
    """

    held = ("z0", "mask")

    def __init__(
        self,
        count: Count = 1,
        masks: Masks = "chunk",
        *,
        examples: Count = 256,
        spread: Weight = 0.01,
    ) -> None:
        super().__init__(spread)
        self.count = count
        self.masks = masks
        self.examples = examples
        self._masks: Tensor | None = None

    def fit(self, classifier: nn.Module, generator: Any, data: Any) -> None:
        """Take the Fisher information over training images, and the masks from it."""
        if self.count == 1 or self.masks == "none":
            return
        if not len(data.train):
            raise UserError(
                f"masks={self.masks} needs training images, data={data.name} has none; choose masks=none, or "
                "other data"
            )
        like = next(generator.parameters())
        x = data.train[torch.arange(min(self.examples, len(data.train)))].x.to(like)
        with torch.enable_grad():
            fisher = information(self, Query(x, classifier(x).argmax(1), classifier, generator=generator))
        self._masks = masks_of(fisher.double().cpu(), self.count, self.masks)

    def start(self, query: Query) -> Variables:
        """The factual's code with the mask of each row."""
        z0 = self.code(query)
        mask = torch.ones_like(z0)
        if self._masks is not None and query.repeat is not None:
            mask = self._masks.to(z0)[query.repeat]
        elif self.count > 1 and self.masks != "none":
            raise UserError(f"masks={self.masks} are not known; call fit(data) with an ImageData first")
        return {"z": z0 + mask * (self._disturb(query, z0) - z0), "z0": z0, "mask": mask}

    def decode(self, query: Query, variables: Variables, moment: Moment = END) -> Tensor:
        """G(z_0 + m (z - z_0))."""
        return super().decode(query, {"z": _masked(variables)}, moment)

    def project_(self, query: Query, variables: Variables) -> None:
        """Put the coordinates back that may not move."""
        variables["z"].copy_(_masked(variables))

    def extra(self, variables: Variables) -> Variables:
        """The code."""
        return {"z": _masked(variables)}


def information(space: Latent, query: Query) -> Tensor:
    """The Fisher information (Z, Z) of the codes of these queries' factuals, over all classes exactly."""
    z = space.code(query).requires_grad_()
    logits = query.classifier(Latent.decode(space, query, {"z": z}))
    chances, logs = logits.softmax(1).detach(), logits.log_softmax(1)
    found = z.new_zeros(z.shape[1], z.shape[1])
    for k in range(logits.shape[1]):
        (gradient,) = torch.autograd.grad(logs[:, k].sum(), z, retain_graph=True)
        found += torch.einsum("b,bi,bj->ij", chances[:, k], gradient, gradient)
    return found / len(z)


def masks_of(fisher: Tensor, count: int, masks: Masks) -> Tensor:
    """Masks (count, Z) of 0 and 1, from a Fisher information (Z, Z) in float64."""
    size = len(fisher)
    if count > size:
        raise UserError(
            f"count={count} counterfactuals need as many coordinates of the code, found {size}; choose "
            "masks=none"
        )
    if masks == "chunk":
        rank = fisher.diagonal().argsort(descending=True, stable=True).argsort()
        mine = (rank * count // size)[None] == torch.arange(count)[:, None]
    else:
        mine = clusters(fisher, count)[None] == torch.arange(count)[:, None]
    return mine.double() if masks == "spectral" else 1 - mine.double()


def clusters(fisher: Tensor, count: int) -> Tensor:
    """The cluster (Z,) of each coordinate, by the leading eigenvectors of the normalised affinity."""
    affinity = fisher - fisher.min()
    scale = affinity.sum(1).clamp(min=1e-12).rsqrt()
    _values, vectors = torch.linalg.eigh(scale[:, None] * affinity * scale)
    points = torch.nn.functional.normalize(vectors[:, -count:], dim=1)
    _centres, labels = kmeans2(points.numpy(), count, minit="++", seed=0)
    return torch.from_numpy(labels.astype("int64"))


def _masked(variables: Variables) -> Tensor:
    return variables["z0"] + variables["mask"] * (variables["z"] - variables["z0"])
