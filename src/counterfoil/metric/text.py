"""Of texts: how many tokens change, how far the meaning moves, and how fluent counterfactuals are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity
from torchmetrics.functional.text import edit_distance

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.domain import PADDING, Tokens
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import Borrowed

_FIRST = 0x10000
"""The letter of token 0: above it every number is a letter of its own."""


class TokenEdit(SampleMetric):
    """Share of the tokens that are swapped, put in or left out.

    Levenshtein's distance of the tokens without padding over the length of the longer text, in [0, 1].
    """

    name = "token_edit"
    label = "Token edit distance"
    unit = "%"
    minimum = 0.0
    maximum = 1.0
    main = True
    role = "distance"
    higher_is_better = False
    also_valid = True
    reads = Tokens

    def score(self, cf: Counterfactuals) -> Tensor:
        one, other = _letters(cf.factual), _letters(cf.counterfactual)
        longer = torch.tensor([max(map(len, pair)) for pair in zip(one, other, strict=True)])
        moved = torch.as_tensor(edit_distance(other, one, reduction="none"))
        return (moved.double() / longer.clamp(min=1)).to(cf.factual.device)


class EmbeddingDistance(SampleMetric):
    """Cosine distance of query and counterfactual in the judge's embedding.

    1 - cos(e(x), e(x')), in [0, 2]; 0 for the query itself.

    Args:
        judge: names the layer that embeds, see `Classifier.embed`.
    """

    name = "embedding_distance"
    minimum = 0.0
    maximum = 2.0
    role = "distance"
    higher_is_better = False
    also_valid = True

    def __init__(self, judge: nn.Module | None) -> None:
        super().__init__()
        self._judge = Borrowed(judge, self.name, "judge")

    def score(self, cf: Counterfactuals) -> Tensor:
        one, other = (self._judge(x, method="embed") for x in (cf.factual, cf.counterfactual))
        return (1 - cosine_similarity(one, other)).clamp(min=0)


class LogPerplexity(SampleMetric):
    """How little a language model expects the counterfactual, in nats per token.

    -mean log p(token | those before it) over the tokens that are no padding, 0 or more; e to its power is
    `perplexity`.

    Args:
        language_model: tells `log_likelihood(x)` (B,) of texts (B, 1, L, V), trained on other texts than the
            methods and the classifier.
    """

    name = "log_perplexity"
    minimum = 0.0
    higher_is_better = False
    also_valid = True
    reads = Tokens

    def __init__(self, language_model: Any) -> None:
        super().__init__()
        where = f"generative@metric.{self.name}.language_model"
        self._language_model = Borrowed(language_model, self.name, where)

    def score(self, cf: Counterfactuals) -> Tensor:
        return -self._language_model(cf.counterfactual, method="log_likelihood")


class Perplexity(LogPerplexity):
    """Perplexity of the counterfactual under a language model: less is more fluent.

    exp(-mean log p(token | those before it)), 1 or more, of each text; the mean over texts is moved by the
    worst ones, that of `log_perplexity` less.

    Args:
        language_model: see `LogPerplexity`.
    """

    name = "perplexity"
    minimum = 1.0
    main = True

    def score(self, cf: Counterfactuals) -> Tensor:
        return super().score(cf).exp()


def _letters(x: Tensor) -> list[str]:
    """Each text without its padding, a letter for each token, as the library counts letters."""
    rows = x.argmax(-1).flatten(1).tolist()
    return ["".join(chr(_FIRST + token) for token in row if token != PADDING) for row in rows]
