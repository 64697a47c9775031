"""Words and the numbers that stand for them, fitted on training texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.domain import PADDING, UNKNOWN
from counterfoil.core.errors import UserError

SPECIAL = ("<pad>", "<unk>")
"""Padding and unknown word, by their numbers."""
_WORD = r"\.{2,}|[\p{L}\p{N}]+(?:'\p{L}+)?|[^\s\p{L}\p{N}]"
_CLOSING = frozenset(".,!?;:)%") | {"...", ".."}


class Vocabulary:
    """The V tokens of a language, lowercased words and punctuation, and texts as L of their numbers.

    Args:
        state: a vocabulary as `state` tells it; most are made by `fitted`.
        length: L; a longer text is cut, a shorter one filled up with padding.
    """

    def __init__(self, state: str, length: int) -> None:
        self.length = length
        self._tokenizer = _library().Tokenizer.from_str(state)
        known = self._tokenizer.get_vocab()
        self.tokens: tuple[str, ...] = tuple(sorted(known, key=known.__getitem__))
        """Each token by its number; 0 is the padding and 1 the unknown word."""

    @classmethod
    def fitted(cls, texts: Sequence[str], size: int, length: int) -> Vocabulary:
        """The `size` most frequent tokens of texts, the two special ones among them; ties by the alphabet."""
        library = _library()
        tokenizer = library.Tokenizer(library.models.WordLevel(unk_token=SPECIAL[UNKNOWN]))
        tokenizer.normalizer = library.normalizers.Sequence(
            [library.normalizers.NFC(), library.normalizers.Lowercase()]
        )
        tokenizer.pre_tokenizer = library.pre_tokenizers.Split(
            library.Regex(_WORD), behavior="removed", invert=True
        )
        trainer = library.trainers.WordLevelTrainer(
            vocab_size=size, special_tokens=list(SPECIAL), show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer.to_str(), length)

    @property
    def state(self) -> str:
        """All of it as JSON, the rules by which texts are cut into words included."""
        return json.dumps(json.loads(self._tokenizer.to_str()), sort_keys=True)

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> Tensor:
        """The numbers (L,) int64 of a text."""
        return self.encode_all([text])[0][0]

    def encode_all(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The numbers (N, L) int64 of texts, and how many tokens each has before it is cut, (N,) int64."""
        found = [one.ids for one in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        ids = torch.full((len(found), self.length), PADDING)
        for row, one in zip(ids, found, strict=True):
            kept = one[: self.length]
            row[: len(kept)] = torch.tensor(kept, dtype=torch.int64)
        return ids, torch.tensor([len(one) for one in found], dtype=torch.int64)

    def decode(self, ids: Tensor) -> str:
        """The text of numbers (L,), paddings left out wherever they stand."""
        return written([self.tokens[i] for i in ids.tolist() if i != PADDING])


def written(words: Sequence[str]) -> str:
    """Words as one text, marks close to the word that they follow."""
    text = ""
    for word in words:
        text += word if not text or word in _CLOSING or text.endswith("(") else f" {word}"
    return text


def _library() -> Any:
    if find_spec("tokenizers") is None:
        raise UserError("texts need the package tokenizers: pip install 'counterfoil[text]'")
    import tokenizers

    return tokenizers
