"""Counterfactuals in one pass: learned maps in the code of a generative model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Probability
from counterfoil.core.counterfactuals import Found
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.explainer.along import Returned, chosen
from counterfoil.explainer.base import Explainer
from counterfoil.generative.latent_map.network import LatentMaps
from counterfoil.search import Detail
from counterfoil.util.fingerprint import fingerprint


class C3LT(Explainer):
    """C3LT: x' = G(g_st^k(E(x))) for a learned map g from the decision s to the target t, k = 1 ... steps.

    Counterfactual: the first of these images that reaches the target at `confidence`; where none does, the
    likeliest. One encoder pass and one decoder pass per step for the whole batch.

    Args:
        generator: `LatentMaps` trained against this classifier, with the generative model of their code.
        steps: applications of the map; the one that it was trained with is the paper's.
        returned: "first" as above, or "last": the image after all steps.
        residual: give back what the generator cannot draw of the factual, see `Detail`.
        confidence: see `Explainer`.
        count: the k-th counterfactual is the k-th image that reaches the target.

    Departures: see `LatentMapTraining`; the source returns the last image.
    Source: Cycle-Consistent Counterfactuals by Latent Transformations (Khorram and Fuxin, CVPR 2022), arXiv
    2203.15064.

    Raises:
        UserError: a generator of another kind, or trained against another classifier.
    """

    needs_gradients = False

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        steps: Count = 1,
        returned: Returned = "first",
        residual: bool = False,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        if not isinstance(generator, LatentMaps):
            found = "none" if generator is None else type(generator).__name__
            raise UserError(
                f"explainer c3lt needs trained LatentMaps, found {found}; train them with train.py "
                "explainer=c3lt"
            )
        bound = int(generator.classifier)
        if bound and bound != int(fingerprint(classifier)):
            raise UserError(
                "explainer c3lt: its maps were trained against another classifier (the hash of weights and "
                "decision differs); train them against this one with train.py explainer=c3lt, or load the "
                "classifier they were made for"
            )
        super().__init__(classifier, generator, confidence=confidence, count=count)
        self.maps = generator
        self.steps = steps
        self.returned = returned
        self.detail = Detail() if residual else None

    @torch.no_grad()
    def explain(self, query: Query) -> Found:
        """Walk the map, and let the classifier pick."""
        start: Tensor = self.maps.generator.encode(query.factual)
        codes = self.maps.path(start, query.source, query.target, self.steps)
        images = torch.stack([self._draw(query, code) for code in codes[:, 1:].unbind(1)], dim=1)
        if self.detail is not None:
            drawn = self._draw(query, start)
            images = torch.stack(
                [query.keep(self.detail(query, image, drawn)) for image in images.unbind(1)], dim=1
            )
        logits = torch.stack([query.classifier(image) for image in images.unbind(1)], dim=1)
        place = chosen(query, logits, self.returned)
        rows = torch.arange(len(query), device=place.device)
        calls = torch.full_like(query.target, self.steps)
        return Found(images[rows, place], place + 1, calls, extra={"z": codes[rows, place + 1]})

    def _draw(self, query: Query, code: Tensor) -> Tensor:
        image: Tensor = query.keep(self.maps.generator.decode(code))
        return image
