"""A recurrent network over words; a judge of another kind than the convolutional one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.classifier.words import WordEmbedding
from counterfoil.core.bounds import Count, Decay, checks_options


@checks_options
class TextGRU(nn.Module):
    """Embedding, a gated recurrent network in both directions, its mean and largest states, linear.

    Args:
        tokens: V, the size of the vocabulary.
        classes: outputs K.
        width: of a word's vector.
        states: of each direction.
        word_dropout: share of the words that are hidden while training.
        dropout: on words' vectors, half of it, and on the pooled states.

    Source: Learning Phrase Representations using RNN Encoder-Decoder (Cho et al., 2014), arXiv 1406.1078, for
    the recurrent unit; the rest is ours.
    """

    def __init__(
        self,
        tokens: Count = 3000,
        classes: Count = 2,
        width: Count = 48,
        states: Count = 64,
        word_dropout: Decay = 0.1,
        dropout: Decay = 0.5,
    ) -> None:
        super().__init__()
        self.embedding = WordEmbedding(tokens, width, word_dropout)
        self.thinned = nn.Dropout(dropout / 2)
        self.recurrent = nn.GRU(width, states, batch_first=True, bidirectional=True)
        self.pool = nn.Dropout(dropout)
        self.head = nn.Linear(4 * states, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, K) of texts (B, 1, L, V), one-hot or soft."""
        states, _ = self.recurrent(self.thinned(self.embedding(x)))
        logits: Tensor = self.head(self.pool(torch.cat((states.mean(1), states.amax(1)), dim=1)))
        return logits
