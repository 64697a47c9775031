"""A convolutional network over words, which takes soft texts as well."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterfoil.classifier.words import WordEmbedding
from counterfoil.core.bounds import Count, Decay, checks_options


@checks_options
class TextCNN(nn.Module):
    """Embedding, convolutions over 1 to 3 words in parallel, the largest activation of each, linear.

    Args:
        tokens: V, the size of the vocabulary.
        classes: outputs K.
        width: of a word's vector.
        filters: of each convolution.
        spans: how many words each convolution sees.
        word_dropout: share of the words that are hidden while training.
        dropout: on words' vectors, half of it, and on the pooled activations.

    Source: Convolutional Neural Networks for Sentence Classification (Kim, 2014), arXiv 1408.5882; word
    dropout and sizes are ours.
    """

    def __init__(
        self,
        tokens: Count = 3000,
        classes: Count = 2,
        width: Count = 64,
        filters: Count = 64,
        spans: Sequence[Count] = (1, 2, 3),
        word_dropout: Decay = 0.1,
        dropout: Decay = 0.5,
    ) -> None:
        super().__init__()
        self.embedding = WordEmbedding(tokens, width, word_dropout)
        self.thinned = nn.Dropout(dropout / 2)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, filters, k, padding=k // 2) for k in spans)
        self.pool = nn.Dropout(dropout)
        self.head = nn.Linear(filters * len(spans), classes)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, K) of texts (B, 1, L, V), one-hot or soft."""
        rows = self.thinned(self.embedding(x)).transpose(1, 2)
        seen = [convolution(rows).relu().amax(2) for convolution in self.convolutions]
        logits: Tensor = self.head(self.pool(torch.cat(seen, dim=1)))
        return logits
