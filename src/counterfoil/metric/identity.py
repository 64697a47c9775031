"""Identity by the features of the judge, which tells attributes; no face recogniser."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import Borrowed


class AttributeNetCosine(SampleMetric):
    """Mean cosine between the judge's embeddings of factual and counterfactual.

    cos(e(x), e(x')), in [-1, 1]. The judge tells attributes (or classes), not identities: not comparable with
    published FVA or FS.

    Args:
        judge: has `embed`, images (B, C, H, W) in [0, 1] -> (B, D).
    """

    name = "attribute_net_cosine"
    minimum = -1.0
    maximum = 1.0
    higher_is_better = True
    also_valid = True

    def __init__(self, judge: nn.Module | None) -> None:
        super().__init__()
        self._judge = Borrowed(judge, self.name, "judge")

    def score(self, cf: Counterfactuals) -> Tensor:
        factual, counterfactual = (self._judge(x, method="embed") for x in (cf.factual, cf.counterfactual))
        return cosine_similarity(factual, counterfactual, dim=1)


class AttributeNetShare(AttributeNetCosine):
    """Share of counterfactuals whose embedding by the judge has a cosine above 0.5 to the factual's.

    mean 1[cos(e(x), e(x')) > 0.5], in [0, 1]; the form of FVA on another network's features, not comparable
    with it.
    """

    name = "attribute_net_share"
    boolean = True

    def score(self, cf: Counterfactuals) -> Tensor:
        return (super().score(cf) > 0.5).to(torch.float32)
