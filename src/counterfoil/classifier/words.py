"""Embeddings of texts that may be soft: each place a distribution over the tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Decay, checks_options
from counterfoil.core.domain import UNKNOWN
from counterfoil.core.errors import UserError


@checks_options
class WordEmbedding(nn.Module):
    """e = x W, the mean of the tokens' vectors under each place's distribution; differentiable in x.

    Args:
        tokens: V.
        width: D, of a vector.
        dropout: share of the places that show the unknown token while training.
    """

    def __init__(self, tokens: Count, width: Count, dropout: Decay = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(tokens, width) * 0.1)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Vectors (B, L, D) of texts (B, 1, L, V) whose rows are distributions."""
        if tuple(x.shape[1:2]) + tuple(x.shape[3:]) != (1, len(self.weight)):
            raise UserError(
                f"made for texts of {len(self.weight)} tokens, found inputs of shape {tuple(x.shape[1:])}; "
                "choose data=reviews or data=text_csv, or train it on these data"
            )
        hard = not x.requires_grad and is_hard(x)  # then looked up, which is quicker than a product
        rows: Tensor = F.embedding(tokens_of(x), self.weight) if hard else x[:, 0] @ self.weight
        if self.training and self.dropout:
            hidden = torch.rand(*rows.shape[:2], 1, device=rows.device) < self.dropout
            rows = torch.where(hidden, self.weight[UNKNOWN].to(rows.dtype), rows)
        return rows


def tokens_of(x: Tensor) -> Tensor:
    """The tokens (B, L) of one-hot texts (B, 1, L, V), sooner than argmax finds them."""
    number = torch.arange(x.shape[-1], device=x.device, dtype=torch.float32)
    return x.flatten(0, 2).float().mv(number).round().long().view(len(x), -1)


def is_hard(x: Tensor) -> bool:
    """Whether all rows of texts (B, 1, L, V), which sum to one, are one-hot."""
    return bool(((torch.linalg.vector_norm(x, dim=-1) == 1) & (x.sum(-1) == 1)).all())
