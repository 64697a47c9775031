"""Texts as data: a split holds the numbers of tokens and serves one-hot rows, as a split of images does."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from counterfoil.core.bounds import Count, Pair, Share
from counterfoil.core.domain import UNKNOWN, Tokens
from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData, Images, Splits, splits_digest
from counterfoil.data.decode import Shape
from counterfoil.data.measured import MEASURED, measured
from counterfoil.data.vocabulary import Vocabulary
from counterfoil.util.digest import digest

APART = "apart"
"""The part of texts that no split holds: a language model's."""
WARM = 3.0
"""Temperature of the distribution of a token to which the gradient of a search goes."""
_PARTS = ("train", "val", "test", APART)

log = logging.getLogger("counterfoil")


class OneHot:
    """Rows of tokens as uint8 images (N, 1, L, V), 255 at the token and 0 elsewhere, made when asked for.

    Args:
        ids: (N, L), numbers of tokens.
        tokens: V.
    """

    dtype = torch.uint8
    ndim = 4

    def __init__(self, ids: Tensor, tokens: Count) -> None:
        self.ids = ids.to(torch.int32)
        self.shape = torch.Size((len(ids), 1, ids.shape[1], tokens))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: int | slice | Tensor) -> Tensor:
        ids = self.ids[rows].long()[..., None, :, None]
        return torch.zeros(*ids.shape[:-1], self.shape[-1], dtype=self.dtype).scatter_(-1, ids, 255)


class Texts(Images):
    """One split of texts: numbers of tokens (N, L), and x (B, 1, L, V) one-hot on access.

    Args:
        ids: (N, L).
        tokens: V, how many there are.
        labels, attributes, names: see `Images`.
    """

    def __init__(
        self,
        ids: Tensor,
        tokens: Count,
        labels: Tensor,
        attributes: Tensor | None = None,
        names: Sequence[str | int] | None = None,
    ) -> None:
        rows = OneHot(ids, tokens)
        super().__init__(cast(Tensor, rows), labels, attributes, names)  # it is read by rows alone
        self.ids, self.tokens = rows.ids, tokens

    def held(self) -> tuple[Tensor | None, ...]:
        """Numbers of tokens, labels and attributes."""
        return self.ids, self.labels, self.attributes

    def take(self, rows: Tensor | slice) -> Texts:
        """The split that holds these rows alone."""
        names = self.names[rows] if isinstance(rows, slice) else self._named(rows)
        attributes = None if self.attributes is None else self.attributes[rows]
        return Texts(self.ids[rows], self.tokens, self.labels[rows], attributes, names)

    def labelled(self, labels: Tensor) -> Texts:
        """The same texts with other labels (N,)."""
        return Texts(self.ids, self.tokens, labels, self.attributes, self.names)

    def joined(self, more: Images) -> Texts:
        """These rows and then the others, each soft row of which becomes its likeliest token."""
        ids = more.ids if isinstance(more, Texts) else more.images[:, 0].argmax(-1).to(self.ids)
        both = self.attributes is not None and more.attributes is not None
        attributes = torch.cat((self.attributes, more.attributes)) if both else None  # type: ignore[arg-type]
        return Texts(
            torch.cat((self.ids, ids)),
            self.tokens,
            torch.cat((self.labels, more.labels)),
            attributes,
            (*self.names, *more.names),
        )


class Written(NamedTuple):
    """A text as it was written: its class, its part (train, val, test or apart) and its own attributes."""

    text: str
    label: int
    part: str
    attributes: tuple[int, ...] = ()


class TextData(ImageData):
    """Labelled texts in three splits, each text L tokens of a vocabulary that the training texts fit.

    To all else a text is an image of the shape (1, L, V) whose rows are distributions over the tokens, here
    one-hot. Its attributes are its class, its own ones and those of `counterfoil.data.measured`, as far as
    they vary in the training texts. Of texts with the same tokens the first one is kept, so that none is in
    two splits; how many were cut or left aside, and the share of unknown words, is said once.

    A new one writes `written`, and `options` with those of this class in it.

    Args:
        length: L; longer texts are cut, shorter ones filled up with padding.
        tokens: V at most, the most frequent ones, with padding and unknown word.
        unknown: texts of which a larger share of the tokens is not in the vocabulary are left aside.
        others: see `ImageData`; what plants a cause into images is none of a text's.

    Raises:
        UserError: no texts in a split, a cause to plant, or a package that is not installed.
    """

    name = "texts"

    def __init__(
        self, *, length: Pair = 20, tokens: Pair = 3000, unknown: Share = 1.0, **options: Any
    ) -> None:
        super().__init__(**options)
        for cause in self.causes:
            raise UserError(
                f"data.{cause} plants a cause into images; data={self.name} holds texts, leave it out"
            )
        self.length = length
        self.unknown = unknown
        self._most = tokens
        self._vocabulary: Vocabulary | None = None
        self._apart: Texts | None = None

    @abstractmethod
    def written(self) -> tuple[list[Written], tuple[str, ...], tuple[str, ...]]:
        """Texts with their labels, names of the classes, and names of the texts' own attributes."""

    def options(self) -> dict[str, Any]:
        """What is made of the texts."""
        return {"length": self.length, "tokens": self._most, "unknown": self.unknown}

    def content(self) -> str:
        """A digest of tokens, labels, attributes and vocabulary."""
        return digest([splits_digest(self._loaded), self.vocabulary.state], 32)

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens by number, fitted on the training texts."""
        _ = self._loaded
        return self._words

    @property
    def domain(self) -> Tokens:
        """One-hot rows of the vocabulary's tokens; warm, as decoders are sure of their tokens."""
        return Tokens(self.vocabulary.tokens, temperature=WARM)

    @property
    def apart(self) -> Texts:
        """Texts that are in no split, for a language model; the training texts where none are held apart."""
        _ = self._loaded
        assert self._apart is not None
        if not len(self._apart):
            log.info(f"data={self.name} holds no texts apart; a language model shares the training texts")
            return cast(Texts, self.train)
        return self._apart if self.limit is None else self._apart.take(slice(0, self.limit))

    @property
    def shape(self) -> Shape:
        """Refused, as no image file becomes a text."""
        raise UserError(f"data={self.name} holds texts, no images; name queries by the column index")

    def class_attributes(self, class_names: Sequence[str]) -> tuple[str, ...]:
        """Names of the attributes that tell the class: the second of two, else one for each."""
        return tuple(class_names[1:]) if len(class_names) == 2 else tuple(class_names)

    def load(self) -> Splits:
        """Fit the vocabulary and encode the texts."""
        rows, class_names, own = self.written()
        training = [row.text for row in rows if row.part == "train"]
        self._vocabulary = Vocabulary.fitted(training, self._most, self.length)
        ids, lengths = self._vocabulary.encode_all([row.text for row in rows])
        kept = self._kept(rows, ids, lengths)
        parts = {part: self._part(rows, ids, kept, part, len(class_names)) for part in _PARTS}
        for part in ("train", "test"):
            if not len(parts[part]):
                raise UserError(f"data={self.name}: none of its {len(rows)} texts is in the {part} split")
        names = (*self.class_attributes(class_names), *own, *MEASURED)
        varying = _varying(parts["train"])
        for texts in parts.values():
            assert texts.attributes is not None
            texts.attributes = texts.attributes[:, varying]
        self._apart = parts[APART]
        val = parts["val"] if len(parts["val"]) else None
        return Splits(parts["train"], parts["test"], class_names, val, tuple(names[i] for i in varying))

    def _kept(self, rows: Sequence[Written], ids: Tensor, lengths: Tensor) -> list[int]:
        """Rows of words known well enough, the first of those alike; what becomes of the others is said."""
        long = int((lengths > self.length).sum())
        words = lengths.clamp(max=self.length)
        strange = (ids == UNKNOWN).sum(1)
        fine = ((strange <= self.unknown * words) & (words > 0)).tolist()
        seen: dict[bytes, int] = {}
        for i in sorted(range(len(rows)), key=lambda i: _PARTS.index(rows[i].part)):
            if fine[i]:
                seen.setdefault(ids[i].numpy().tobytes(), i)
        told = [
            f"{long} longer than {self.length} tokens and cut" if long else "",
            f"{len(rows) - sum(fine)} with too many unknown words and left aside" if not all(fine) else "",
            f"{sum(fine) - len(seen)} that stand twice and are taken once" if len(seen) < sum(fine) else "",
        ]
        kept = sorted(seen.values())
        share = float(strange[kept].sum() / words[kept].sum())
        told.append(f"{share:.1%} of the tokens kept are not in the vocabulary of {len(self._words)}")
        log.info(f"data={self.name}: of {len(rows)} texts " + "; ".join(filter(None, told)))
        return kept

    def _part(
        self, rows: Sequence[Written], ids: Tensor, kept: Sequence[int], part: str, classes: int
    ) -> Texts:
        """The texts of one part, with their class, own and measured attributes."""
        chosen = [i for i in kept if rows[i].part == part]
        labels = torch.tensor([rows[i].label for i in chosen], dtype=torch.int64)
        own = torch.tensor([rows[i].attributes for i in chosen], dtype=torch.uint8).view(
            len(chosen), len(rows[0].attributes)
        )
        told = (labels[:, None] == torch.arange(classes)).to(torch.uint8)[:, int(classes == 2) :]
        attributes = torch.cat((told, own, measured(ids[chosen], self._words.tokens)), dim=1)
        return Texts(ids[chosen], len(self._words), labels, attributes)

    @property
    def _words(self) -> Vocabulary:
        assert self._vocabulary is not None
        return self._vocabulary


def _varying(texts: Texts) -> list[int]:
    assert texts.attributes is not None
    return (texts.attributes != texts.attributes[:1]).any(0).nonzero()[:, 0].tolist()
