"""Whether a counterfactual keeps the style of its image, by an embedding that matches views of one image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.generative.style.network import retrieved, view
from counterfoil.metric.base import AnyMetric, Figure, FigureMetric, SampleMetric
from counterfoil.metric.network import Borrowed
from counterfoil.metric.worlds import share

HELD = 256
"""Images among which the second view of each is looked for."""
TOLD = 0.8
"""Share of second views that an embedding must find for its similarities to be ranked."""


class StyleSimilarity(SampleMetric):
    """Cosine between the style embeddings of query and counterfactual.

    e(x) e(x'), in [-1, 1]; 1 for the query itself. The embedding is trained to match views of the same image
    that are moved, cut and disturbed, so it tells what makes an image this one; the class is part of that,
    and must change: compare methods with each other, and with a real image of the target (`random_image`).
    Not ranked where the embedding finds less than 80 % of the second views, see `StyleRetrieval`.

    Args:
        style: embeds images (B, C, H, W) in [0, 1] as (B, D).
        reference: a data module; `queried` is the images on which the embedding is tried.

    Source: ours, on embeddings of A Simple Framework for Contrastive Learning of Visual Representations (Chen
    et al., 2020), arXiv 2002.05709
    """

    name = "style_similarity"
    minimum = -1.0
    maximum = 1.0
    higher_is_better = True
    also_valid = True

    def __init__(self, style: nn.Module, reference: Any) -> None:
        super().__init__()
        self._style = Borrowed(style, self.name, "generative@metric.style_similarity.style")
        self.tried = StyleRetrieval(style, reference)

    @property
    def doubt(self) -> str:
        """The embedding does not tell images apart."""
        found = self.tried.figure().value
        if found >= TOLD:
            return ""
        return f"{self.name}: its embedding finds {100 * found:.0f} % of second views, expected 80 % or more"

    def score(self, cf: Counterfactuals) -> Tensor:
        one, other = (self._style(x) for x in (cf.factual, cf.counterfactual))
        return cosine_similarity(one, other, dim=1)


class StyleRetrieval(FigureMetric):
    """Share of held-out images whose second view the style embedding finds among those of 256 images.

    mean_i 1[argmax_j e(v_i) e(v'_j) = i], in [0, 1], v and v' two views of an image; chance is 1 / 256. A
    figure of the embedding, the same for every method. With Wilson's interval.

    Args:
        style, reference: see `StyleSimilarity`.
    """

    name = "style_retrieval"
    unit = "%"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = None

    def __init__(self, style: nn.Module, reference: Any) -> None:
        super().__init__()
        self._style = Borrowed(style, self.name, "generative@metric.style_similarity.style")
        self._reference = Borrowed(reference, self.name, "data")
        self._figure: Figure | None = None

    def figure(self) -> Figure:
        if self._figure is None:
            images, draw = self._reference.net.queried, torch.Generator().manual_seed(0)
            x = images[torch.randperm(len(images), generator=draw)[:HELD]].x
            first, second = (self._style(view(x, draw=draw)) for _ in range(2))
            self._figure = share(retrieved(first, second))
        return self._figure


def styles(style: nn.Module, reference: Any) -> Mapping[str, AnyMetric]:
    """`StyleSimilarity` and what it rests on, by the name each is reported as."""
    similarity = StyleSimilarity(style, reference)
    return {"style_similarity": similarity, "style_retrieval": similarity.tried}
