"""A small language model, which tells how likely a text is word by word."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Decay, checks_options
from counterfoil.core.domain import PADDING
from counterfoil.core.errors import UserError


@checks_options
class TextLM(nn.Module):
    """log p(x) = sum_i log p(x_i | x_1 ... x_{i-1}), by a gated recurrent network over words.

    Texts are hard: of a soft one each place is its likeliest token. Paddings are left out wherever they are.

    Args:
        length, tokens: L and V of the texts.
        width: of words' vectors, with which the next word is compared as well.
        states: of the recurrent network.
        dropout: on words' vectors and on what the next word is read off.

    Source: Recurrent neural network based language model (Mikolov et al., 2010); vectors of words that are
    read and written alike: Using the Output Embedding to Improve Language Models (Press and Wolf, 2017),
    arXiv 1608.05859.
    """

    def __init__(
        self,
        length: Count = 20,
        tokens: Count = 3000,
        width: Count = 96,
        states: Count = 160,
        dropout: Decay = 0.2,
    ) -> None:
        super().__init__()
        self.length, self.tokens = length, tokens
        self.words = nn.Parameter(torch.randn(tokens, width) * 0.1)
        self.likely = nn.Parameter(torch.zeros(tokens))
        self.recurrent = nn.GRU(width, states, batch_first=True)
        self.leave = nn.Linear(states, width)
        self.thinned = nn.Dropout(dropout)

    def log_likelihood(self, x: Tensor) -> Tensor:
        """Mean log-probability (B,) of a token of hard texts (B, 1, L, V), natural logarithm, at most 0.

        Paddings do not count; a text without a token is as likely as one drawn evenly, -log V. A text's
        perplexity is exp of minus this, that of several exp of minus the mean over all of their tokens.
        """
        said, known = self.said(self.read(x))
        number = known.sum(1)
        mean = (said * known).sum(1) / number.clamp(min=1)
        return mean.where(number > 0, torch.full_like(mean, -math.log(self.tokens)))

    def read(self, x: Tensor) -> Tensor:
        """The likeliest tokens (B, L) of texts (B, 1, L, V), paddings moved to the end."""
        wanted = (1, self.length, self.tokens)
        if tuple(x.shape[1:]) != wanted:
            raise UserError(
                f"text_lm: made for texts of shape {wanted} (1, tokens of a text, tokens of the vocabulary), "
                f"found {tuple(x.shape[1:])}; train it on the classifier's data"
            )
        ids = x[:, 0].argmax(-1)
        return ids.gather(1, (ids == PADDING).int().argsort(dim=1, stable=True))

    def said(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability of each token (B, L) after those before it, and which are no paddings."""
        known = ids != PADDING
        before = F.pad(ids, (1, -1), value=PADDING)
        states, _ = self.recurrent(self.thinned(F.embedding(before, self.words)))
        logits = F.linear(self.thinned(self.leave(states[known])), self.words, self.likely)
        found = -F.cross_entropy(logits, ids[known], reduction="none")
        return torch.zeros(ids.shape, device=ids.device, dtype=found.dtype).masked_scatter(
            known, found
        ), known
