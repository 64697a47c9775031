"""Counterfactuals in one forward pass: a strip of images along which the classifier's output moves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Probability
from counterfoil.core.counterfactuals import Found
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.core.strip import Strip
from counterfoil.explainer.along import Returned, chosen
from counterfoil.explainer.base import Explainer
from counterfoil.generative.exaggeration.network import Exaggerator
from counterfoil.util.command import named
from counterfoil.util.fingerprint import fingerprint


class Progressive(Explainer):
    """Progressive exaggeration: x_k = G(E(x), k) for bins k of the target's posterior, from least to most.

    Counterfactual: the first image of the strip that reaches the target at `confidence`; where none does, the
    likeliest one. `strip` holds all images towards the target and the calibrated posterior (see `Knob`)
    requested of each. One encoder pass and one decoder pass per bin for the whole batch.

    Args:
        generator: an `Exaggerator` trained against this classifier.
        strip: False draws a single image, under the lowest bin that lies wholly above `confidence`,
            without the classifier.
        returned: "first" as above, or "last": the end of the strip.
        confidence: the classifier's own posterior to reach; see `Explainer`.
        count: the k-th counterfactual is the k-th image of the strip that reaches the target.

    Departures: the paper returns the end of the strip; so does returned="last".
    Source: Explanation by Progressive Exaggeration (Singla et al., ICLR 2020), arXiv 1911.00483.

    Raises:
        UserError: a generator of another kind, or trained against another classifier; a target it was not
            trained for.
    """

    needs_gradients = False

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        strip: bool = True,
        returned: Returned = "first",
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        if not isinstance(generator, Exaggerator):
            found = "none" if generator is None else type(generator).__name__
            raise UserError(
                f"explainer progressive needs a trained Exaggerator, found {found}; train one with "
                f"{named('train')} explainer=progressive"
            )
        bound = int(generator.knob.classifier)
        if bound and bound != int(fingerprint(classifier)):
            raise UserError(
                "explainer progressive: its generator was trained against another classifier (the hash of "
                "weights and decision differs); train it against this one with "
                f"{named('train')} explainer=progressive, or load the classifier it was made for"
            )
        super().__init__(classifier, generator, confidence=confidence, count=count)
        self.exaggerator = generator
        self.strip = strip
        self.returned = returned

    @torch.no_grad()
    def explain(self, query: Query) -> Found:
        """Draw the strip and let the classifier pick, or draw the one bin of the requested confidence."""
        slot, up = self.exaggerator.knob.serve(query.target)
        if self.strip:
            return self._whole(query, slot, up)
        image = self._draw(query, self._code(query, slot), slot, up, self._bin(query, slot, up))
        one = torch.ones_like(query.target)
        return Found(image, one, torch.zeros_like(one))

    @torch.no_grad()
    def frames(self, query: Query) -> Tensor:
        """The images alone (B, S, C, H, W), least of the target first; reads no more than `query.logits`."""
        slot, up = self.exaggerator.knob.serve(query.target)
        code = self._code(query, slot)
        steps = range(self.exaggerator.knob.bins)
        return torch.stack(
            [self._draw(query, code, slot, up, torch.full_like(slot, k)) for k in steps], dim=1
        )

    def _code(self, query: Query, slot: Tensor) -> Tensor:
        return self.exaggerator.encode(query.factual, self.exaggerator.own_cell(query.logits, slot))

    def _whole(self, query: Query, slot: Tensor, up: Tensor) -> Found:
        knob = self.exaggerator.knob
        frames = self.frames(query)
        logits = torch.stack([query.classifier(frame) for frame in frames.unbind(1)], dim=1)
        bins = [knob_bin(knob.bins, up, torch.full_like(slot, k)) for k in range(knob.bins)]
        requested = torch.stack([knob.request(slot, bin) for bin in bins], dim=1)
        requested = torch.where(up[:, None], requested, 1 - requested)
        calls = torch.full_like(query.target, knob.bins)
        rows = torch.arange(len(query), device=slot.device)
        strip = Strip(frames, requested.to(frames), scale=knob.scale(slot))
        return Found(frames[rows, chosen(query, logits, self.returned)], calls, calls, strip)

    def _draw(self, query: Query, code: Tensor, slot: Tensor, up: Tensor, towards: Tensor) -> Tensor:
        cell = self.exaggerator.cell(slot, knob_bin(self.exaggerator.knob.bins, up, towards))
        return query.keep(self.exaggerator.decode(code, cell))

    def _bin(self, query: Query, slot: Tensor, up: Tensor) -> Tensor:
        """Steps towards the target (B,) of the lowest bin wholly above the confidence, else the last."""
        knob = self.exaggerator.knob
        wanted = torch.logit(torch.tensor(query.confidence, dtype=torch.float64)).to(knob.edges)
        edges = torch.where(up[:, None], knob.edges[slot], -knob.edges[slot].flip(1))
        return 1 + (edges[:, :-1] < wanted.clamp(min=0)).sum(1)


def knob_bin(bins: int, up: Tensor, towards: Tensor) -> Tensor:
    """The knob's bin (B,) of the `towards`-th step towards the target, which may lie at the low end."""
    return torch.where(up, towards, bins - 1 - towards)
