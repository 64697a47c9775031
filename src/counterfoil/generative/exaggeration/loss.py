"""The terms of both losses of progressive exaggeration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.generative.exaggeration.discriminator import Discriminator
from counterfoil.generative.exaggeration.network import Exaggerator


@dataclass(frozen=True)
class Terms:
    """Computes the terms of L_D and L_G, see `ExaggerationTraining`; holds the networks without owning them.

    Attributes:
        net: the generator.
        discriminator: the critic.
        classifier: frozen.
        weights: of the generator's terms by name; a term of weight 0 is not computed.
    """

    net: Exaggerator
    discriminator: Discriminator
    classifier: nn.Module
    weights: Mapping[str, float]

    def scaled(self, x: Tensor, slot: Tensor) -> Tensor:
        """The classifier's log-odds over the temperature (B,), in full precision whatever the trainer's."""
        knob = self.net.knob
        with torch.autocast(x.device.type, enabled=False):
            log_odds = knob.log_odds(self.classifier(x.float()).float(), slot)
        return log_odds / knob.temperature[slot]

    def draw(self, code: Tensor, slot: Tensor, requested: Tensor, own: Tensor) -> Tensor:
        """x_t and x_r (2B, C, H, W): codes drawn under the bins requested, and under the images' own."""
        cells = torch.cat((self.net.cell(slot, requested), self.net.cell(slot, own)))
        return self.net.decode(code.repeat(2, 1, 1, 1), cells).float()

    def generator(
        self,
        x: Tensor,
        code: Tensor,
        drawn: Tensor,
        slot: Tensor,
        own: Tensor,
        requested: Tensor,
        source: Tensor,
    ) -> dict[str, Tensor]:
        """The unweighted terms of L_G; those of weight 0 are left out.

        Args:
            x: (B, C, H, W).
            code: E(x).
            drawn: x_t and x_r below one another (2B, ...).
            slot, own, requested: (B,), slot, k_s and k_t.
            source: the classifier's scaled log-odds (B,) of x, without gradient.
        """
        wanted, knob = {key for key, weight in self.weights.items() if weight}, self.net.knob
        changed, same = drawn.chunk(2)
        terms: dict[str, Tensor] = {}
        if "gan" in wanted:
            terms["gan"] = -self.discriminator(changed, slot, requested).float().mean()
        if "cls" in wanted:
            obtained = self.scaled(drawn, slot.repeat(2)).chunk(2)
            terms["cls"] = divergence(knob.request(slot, requested), obtained[0])
            terms["self"] = divergence(source.sigmoid(), obtained[1])
        if "rec" in wanted:
            terms["rec"] = 2 * (x - same).abs().mean()
        if wanted & {"cyc", "embed"}:
            again = self.net.encode(changed, self.net.cell(slot, requested))
            if "cyc" in wanted:
                terms["cyc"] = 2 * (x - self.net.decode(again, self.net.cell(slot, own)).float()).abs().mean()
            if "embed" in wanted:
                terms["embed"] = (again - code).float().square().mean()
        return terms

    def critic(
        self, real: Tensor, fake: Tensor, slot: Tensor, own: Tensor, requested: Tensor
    ) -> tuple[Tensor, Tensor]:
        """L_D, and scores (2B,) of real images under their own bins and of fakes under those requested."""
        scores = self.discriminator(
            torch.cat((real, fake)), slot.repeat(2), torch.cat((own, requested))
        ).float()
        on_real, on_fake = scores.chunk(2)
        return F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean(), scores


def divergence(requested: Tensor, scaled: Tensor) -> Tensor:
    """Mean KL(p || q) of posteriors p (B,) and q, given as logits (B,); has the cross-entropy's gradient."""
    entropy = torch.special.entr(requested) + torch.special.entr(1 - requested)
    kl: Tensor = (F.binary_cross_entropy_with_logits(scaled, requested, reduction="none") - entropy).mean()
    return kl
