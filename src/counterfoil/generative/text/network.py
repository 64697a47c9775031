"""An auto-encoder of texts with a code for each place, whose decoder writes under attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.classifier.text_cnn import TextCNN
from counterfoil.classifier.words import WordEmbedding
from counterfoil.core.bounds import Count, Decay, Positive, checks_options
from counterfoil.core.errors import UserError


@checks_options
class TextCVAE(nn.Module):
    """Edits named attributes of a text: x' = softmax(G(E(x), a') / T), all places at once.

    The code z holds a vector for each of the L places, and after them the attributes that are read off x:
    `decode` takes these where it is given no others. A text comes out soft, a distribution over the tokens at
    each place.

    Args:
        length, tokens: L and V of the texts.
        attributes: names of the A attributes.
        latent: length of a place's code.
        width: of words' vectors and of the layers.
        depth: residual layers of the decoder; the encoder has half of them.
        span: places that a layer sees.
        temperature: T.
        word_dropout: share of the words that are hidden from the encoder while training.

    Departures: where AttGAN has a critic and convolutions in the plane, this has a reader of attributes
    alone, convolutions along the text and a variational code; words are not written one after the other.
    Source: AttGAN (He et al., 2019), arXiv 1711.10678, and A1 of Generative Counterfactuals for Neural
    Networks via Attribute-Informed Perturbation (Yang et al., 2021), arXiv 2101.06930, for the parts; the
    network is ours.
    """

    training_only: ClassVar[tuple[str, ...]] = ("guess.",)
    """Beginnings of the names of weights that no file keeps, as the training alone reads them."""

    def __init__(
        self,
        length: Count = 20,
        tokens: Count = 3000,
        attributes: Sequence[str] = (),
        latent: Count = 24,
        width: Count = 64,
        depth: Count = 4,
        span: Count = 5,
        temperature: Positive = 0.5,
        word_dropout: Decay = 0.1,
    ) -> None:
        super().__init__()
        if not attributes:
            raise UserError(
                "text_cvae: expected the names of one or more attributes, found none; set "
                "generative.net.attributes"
            )
        self.attribute_names = tuple(str(name) for name in attributes)
        self.shape = (length, latent)
        self.tokens, self.temperature = tokens, temperature
        number = len(self.attribute_names)
        self.embedding = WordEmbedding(tokens, width, word_dropout)
        self.encoder = nn.Sequential(
            *(_Layer(width, span) for _ in range(max(depth // 2, 1))), nn.Linear(width, 2 * latent)
        )
        self.enter = nn.Linear(latent, width)
        self.told = nn.ModuleList(nn.Linear(number, width) for _ in range(depth))
        self.decoder = nn.ModuleList(_Layer(width, span) for _ in range(depth))
        self.place = nn.Parameter(torch.randn(length, width) * 0.1)
        self.leave = nn.Linear(width, width)
        self.words = nn.Parameter(torch.randn(tokens, width) * 0.1)
        self.likely = nn.Parameter(torch.zeros(tokens))
        self.reader = TextCNN(tokens, number, width=width // 2, filters=width, spans=(1, 2, 3))
        self.guess = _Guess(latent, width, number)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, L, latent) of the codes of the places."""
        self._check(x)
        mean, spread = self.encoder(self.embedding(x)).chunk(2, dim=-1)
        return mean, spread.clamp(-8, 4)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Codes (B, L * latent + A) of texts (B, 1, L, V); the encoder does not look at a condition."""
        mean, _ = self.posterior(x)
        return torch.cat((mean.flatten(1), self.attributes(x)), dim=1)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Texts (B, 1, L, V), distributions over the tokens, of codes (B, L * latent + A).

        Args:
            z: as `encode` gives them.
            condition: attributes (B, A) in [0, 1]; None: those at the end of the code.
        """
        places, read = z.split((self.shape[0] * self.shape[1], len(self.attribute_names)), dim=1)
        states = self.states(places.unflatten(1, self.shape), read if condition is None else condition)
        return (self.logits(states) / self.temperature).softmax(-1)[:, None]

    def states(self, places: Tensor, attributes: Tensor) -> Tensor:
        """What each place is to say (B, L, width), of codes (B, L, latent) under attributes (B, A)."""
        h = self.enter(places) + self.place
        for layer, told in zip(self.decoder, self.told, strict=True):
            h = layer(h + told(attributes.to(h) - 0.5)[:, None])
        left: Tensor = self.leave(h)
        return left

    def logits(self, states: Tensor) -> Tensor:
        """(..., V) of states (..., width)."""
        return F.linear(states, self.words, self.likely)

    def attributes(self, x: Tensor) -> Tensor:
        """Attributes (B, A) in [0, 1] that are read off texts (B, 1, L, V), hard or soft."""
        self._check(x)
        read: Tensor = self.reader(x).sigmoid()
        return read

    def _check(self, x: Tensor) -> None:
        wanted = (1, self.shape[0], self.tokens)
        if tuple(x.shape[1:]) != wanted:
            raise UserError(
                f"text_cvae: made for texts of shape {wanted} (1, tokens of a text, tokens of the "
                f"vocabulary), found {tuple(x.shape[1:])}; train it on the classifier's data"
            )


class _Layer(nn.Module):
    """h + W relu(convolution along the text(norm(h)))."""

    def __init__(self, width: Count, span: Count) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.along = nn.Conv1d(width, width, span, padding=span // 2)
        self.mix = nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        seen = self.along(self.norm(h).transpose(1, 2)).transpose(1, 2)
        made: Tensor = h + self.mix(seen.relu())
        return made


class _Guess(nn.Module):
    """Logits (B, A) of the attributes that codes (B, L, latent) give away."""

    def __init__(self, latent: Count, width: Count, attributes: Count) -> None:
        super().__init__()
        self.along = nn.Sequential(
            nn.Conv1d(latent, 2 * width, 3, padding=1), nn.ReLU(), nn.Conv1d(2 * width, width, 1), nn.ReLU()
        )
        self.last = nn.Linear(2 * width, attributes)

    def forward(self, places: Tensor) -> Tensor:
        seen = self.along(places.transpose(1, 2))
        logits: Tensor = self.last(torch.cat((seen.mean(2), seen.amax(2)), dim=1))
        return logits
