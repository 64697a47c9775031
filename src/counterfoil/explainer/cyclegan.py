"""The image translated to the target class by a CycleGAN: a baseline that never asks the classifier."""

from __future__ import annotations

import torch
from torch import nn

from counterfoil.core.bounds import Count, Probability, Weight
from counterfoil.core.counterfactuals import Found
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.explainer.base import Explainer
from counterfoil.generative.cyclegan.network import CycleGAN
from counterfoil.search import Pixels
from counterfoil.util.command import named


class Translation(Explainer):
    """x' = G_t(x), with the generator of the target's class of a CycleGAN.

    Args:
        generator: a trained `CycleGAN`.
        spread: noise on the pixels of which further counterfactuals are made; the first is made of x itself.
        confidence: not looked at; see `Explainer`.
        count: see `Explainer`.

    Departures: as a baseline of progressive exaggeration its classes are the classifier's decisions, here the
    labels.
    Source: Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu et al.,
    2017), arXiv 1703.10593; a baseline of Explanation by Progressive Exaggeration (Singla et al., ICLR 2020),
    arXiv 1911.00483.

    Raises:
        UserError: a generator of another kind; a target that it was not trained for.
    """

    needs_gradients = False

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        spread: Weight = 0.05,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        if not isinstance(generator, CycleGAN):
            found = "none" if generator is None else type(generator).__name__
            raise UserError(
                f"explainer cyclegan needs a trained CycleGAN, found {found}; train one with "
                f"{named('train')} explainer=cyclegan"
            )
        super().__init__(classifier, generator, confidence=confidence, count=count)
        self.translator = generator
        self.pixels = Pixels(spread)

    @torch.no_grad()
    def explain(self, query: Query) -> Found:
        """Translate each query."""
        one = torch.ones_like(query.target)
        image = self.translator.translate(self.pixels.start(query)["x"], query.target)
        return Found(query.keep(image), one, torch.zeros_like(one))
