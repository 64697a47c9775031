"""Trains an auto-encoder of texts whose attributes, and not its code, tell what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from counterfoil.classifier.words import tokens_of
from counterfoil.core.bounds import Fraction, Weight
from counterfoil.core.domain import PADDING, UNKNOWN
from counterfoil.core.errors import UserError
from counterfoil.data.attributes import BatchAttributes
from counterfoil.data.base import Batch, ImageData
from counterfoil.generative.text.network import TextCVAE
from counterfoil.util.training import Training

PADDED = 0.1
"""Share of the paddings that count in a step, drawn anew each time."""


class TextCVAETraining(Training):
    """Reconstruction, attributes, a code that hides what the attributes tell, and words of the text kept.

    L = CE(G(z, a), x) + beta_t KL(q(z | x) || N(0, I)) + BCE(C(x), y)
        + attribute * BCE(C(G(z, b)), b) + kept * CE(G(z, b), x) - hide_t * BCE(D(z), a)

    with z drawn from q(z | x), y the attributes of the data, a = C(x) what the reader C reads off the text, b
    the same with one attribute turned, and D a guesser that is trained to tell the hidden attributes by z and
    whose gradient reaches the encoder reversed. Cross-entropies of words are sums over the places of a text,
    of its paddings over a tenth in the first one; KL sums over places. Where a hidden attribute is turned, C
    sees G(z, b) with the paddings of x, so that nothing is gained by words behind the text's end.
    beta_t and hide_t grow linearly from 0 over the first `annealed` share of the training.

    Args:
        net: a `TextCVAE`.
        data: where the attributes are read.
        hidden: attributes that z must not tell, turned in half of the rows; None: the first one, which is
            the class.
        attribute, kept, hide, beta: weights.
        annealed: see above.
        others: see `Training`.

    Logged: `tokens`, the share of tokens without paddings that a text decoded from its own code and
    attributes has at the same place; `turned`, the share of texts decoded with the hidden attribute turned
    that are read as turned, each place its likeliest token; `same`, the share of tokens that stay in it;
    `reading`, the accuracy of the reader; `guessed`, how often the guesser tells the first hidden attribute.
    Departures: the decoder is told what the reader reads and not the labels, as the labels of cut sentences
    are noisy; the code is made to hide the class, without which it tells it and the attribute moves nothing.
    Source: A1 of Generative Counterfactuals for Neural Networks via Attribute-Informed Perturbation (Yang et
    al., 2021), arXiv 2101.06930; what is hidden: Fader Networks (Lample et al., 2017), arXiv 1706.00409, by
    the reversed gradient of Domain-Adversarial Training (Ganin et al., 2016), arXiv 1505.07818; annealing and
    hidden words: Generating Sentences from a Continuous Space (Bowman et al., 2016), arXiv 1511.06349.
    """

    net: TextCVAE

    def __init__(
        self,
        net: TextCVAE,
        data: ImageData,
        *,
        hidden: Sequence[str] | None = None,
        attribute: Weight = 5.0,
        kept: Weight = 0.2,
        hide: Weight = 5.0,
        beta: Weight = 0.1,
        annealed: Fraction = 0.3,
        **options: Any,
    ) -> None:
        super().__init__(net, **options)
        names = net.attribute_names
        unknown = [name for name in hidden or () if name not in names]
        if unknown:
            raise UserError(
                f"generative.training.hidden: {unknown[0]} is no attribute of the generator; its attributes: "
                f"{', '.join(names)}"
            )
        self.read = BatchAttributes(data, names)
        self.hidden = [names.index(name) for name in (names[:1] if hidden is None else hidden)]
        self.attribute, self.kept, self.hide, self.beta = attribute, kept, hide, beta
        self.annealed = annealed

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """One step on all terms."""
        x, ids, grown = batch.x, tokens_of(batch.x), self._grown(index)
        reading = F.binary_cross_entropy_with_logits(self.net.reader(x), self.read(batch))
        a = self._seen(x).detach().sigmoid()
        mean, spread = self.net.posterior(x)
        places = mean + torch.randn_like(mean) * (spread / 2).exp()
        counted = (ids != PADDING) | (torch.rand(ids.shape, device=ids.device) < PADDED)
        rebuilt = _cross_entropy(self.net.logits(self.net.states(places, a)[counted]), ids[counted], len(ids))
        some = slice(0, max(len(x) // 2, 1))
        b, turned = self._turned(a[some])
        edited = self.net.logits(self.net.states(places[some], b))
        soft = (edited / self.net.temperature).softmax(-1)[:, None]
        shown = self._seen(torch.where(self._held(ids[some], turned), x[some], soft))
        moved = F.binary_cross_entropy_with_logits(shown[turned], b[turned].round())
        hiding = self._hiding(places, a, grown)
        kl = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum((1, 2)).mean()
        words = _cross_entropy(edited.flatten(0, 1), ids[some].flatten(), len(b))
        loss = rebuilt + grown * self.beta * kl + reading + self.kept * words + self.attribute * moved
        told = {"rebuilt": rebuilt, "kl": kl, "moved": moved, "hiding": hiding, "words": words}
        self.report("train", {"loss": loss, **told}, len(x))
        return loss + hiding

    def validation_step(self, batch: Batch, _index: int) -> None:
        """What is logged, see the class."""
        self._evaluate("val", batch)

    def test_step(self, batch: Batch, _index: int) -> None:
        """The same on the test split."""
        self._evaluate("test", batch)

    def _held(self, ids: Tensor, turned: Tensor) -> Tensor:
        """Places (B, 1, L, 1) that an edit of a hidden attribute leaves as they are: the paddings."""
        own = turned[:, self.hidden].any(1)
        return (own[:, None] & (ids == PADDING))[:, None, :, None]

    def _seen(self, x: Tensor) -> Tensor:
        """Logits (B, A) that the reader, held still, reads off texts: an edit must not teach it."""
        still = {name: value.detach() for name, value in self.net.reader.named_parameters()}
        self.net.reader.eval()
        logits: Tensor = functional_call(self.net.reader, still, (x,))
        self.net.reader.train()
        return logits

    def _hiding(self, places: Tensor, a: Tensor, grown: float) -> Tensor:
        """The guesser's loss, whose gradient reaches the code reversed and scaled."""
        scale = self.hide * grown
        reversed_ = places.detach() * (1 + scale) - scale * places
        guessed = self.net.guess(reversed_)[:, self.hidden]
        return F.binary_cross_entropy_with_logits(guessed, a[:, self.hidden].round())

    def _turned(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """The attributes with one turned to its farther end: a hidden one in half of the rows; which."""
        column = torch.randint(a.shape[1], (len(a),), device=a.device)
        own = torch.tensor(self.hidden, device=a.device)
        drawn = own[torch.randint(len(own), (len(a),), device=a.device)]
        column = torch.where(torch.rand(len(a), device=a.device) < 0.5, drawn, column)
        turned = F.one_hot(column, a.shape[1]).bool()
        return torch.where(turned, (a < 0.5).to(a), a), turned

    def _evaluate(self, stage: str, batch: Batch) -> None:
        ids, y = tokens_of(batch.x), self.read(batch)
        a, z = self.net.attributes(batch.x), self.net.encode(batch.x)
        known = ids != PADDING
        right = (self.net.decode(z)[:, 0].argmax(-1) == ids)[known].float().mean()
        first = self.hidden[0]
        b = a.clone()
        b[:, first] = (a[:, first] < 0.5).to(a)
        edited = self.net.decode(z, b)[:, 0].argmax(-1)
        hard = F.one_hot(edited, self.net.tokens)[:, None].to(batch.x)
        turned = (self.net.attributes(hard)[:, first] > 0.5) == (b[:, first] > 0.5)
        guessed = (self.net.guess(z[:, : -y.shape[1]].unflatten(1, self.net.shape)) > 0) == (a > 0.5)
        values = {
            "tokens": right,
            "turned": turned.float().mean(),
            "same": (edited == ids)[known].float().mean(),
            "reading": ((a > 0.5) == (y > 0.5)).float().mean(),
            "guessed": guessed[:, first].float().mean(),
            "unknown": (edited == UNKNOWN)[edited != PADDING].float().mean(),
        }
        self.report(stage, values, len(ids))

    def _grown(self, index: int) -> float:
        done = (self.current_epoch + index / max(self.trainer.num_training_batches, 1)) / max(self.epochs, 1)
        return min(1.0, done / self.annealed)


def _cross_entropy(logits: Tensor, ids: Tensor, rows: int) -> Tensor:
    """Of words (N, V), per text."""
    return F.cross_entropy(logits, ids, reduction="sum") / rows
