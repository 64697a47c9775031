"""Trains an AttGAN: the critic learns what is real and shows which attributes, the generator to edit them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.core.bounds import Count, Decay, Weight, Whole
from counterfoil.core.errors import UserError
from counterfoil.data.attributes import BatchAttributes
from counterfoil.data.base import Batch, ImageData
from counterfoil.generative.attgan.network import AttGAN
from counterfoil.util.pictures import log_grid
from counterfoil.util.training import Training

NORMS = {"hinge": "spectral", "wgan_gp": "instance"}
"""The critic's norm that each adversarial loss is made for."""


class AttGANTraining(Training):
    """Alternates steps on the critic D (with its attribute reader C) and on encoder E and decoder G.

    critic:     L_D(x, x_b) + BCE(C(x), a)
    generator:  adversarial * -mean D(x_b) + attribute * BCE(C(x_b), b) + reconstruction * mean |x - x_a|

    with x_a = G(E(x), a), x_b = G(E(x), b), b the attributes of another image of the batch, images in
    [-1, 1]. L_D is the hinge loss mean max(0, 1 - D(x)) + mean max(0, 1 + D(x_b)), or WGAN-GP:
    mean D(x_b) - mean D(x) + 10 (|grad D| - 1)^2 between the two. Without an adversarial part it is AIP's
    objective to the letter, all networks at once and nothing but reconstructions:
    min_{E, G, C}  BCE(C(x_a), a) + ||x - x_a||_2.

    Args:
        net: an `AttGAN`; its critic wants norm "spectral" for hinge and "instance" for wgan_gp.
        data: where the attributes are read.
        loss: "hinge" or "wgan_gp".
        adversarial: 0 or false for AIP's objective.
        attribute, reconstruction: weights.
        critic_steps: steps of the critic per step of the generator.
        betas: of both Adams.
        pictures: number of validation images shown with each attribute edited alone.
        others: see `Training`; the learning rate is held for the first half and then falls linearly to 0.

    Departures: hinge and spectral norm in place of WGAN-GP by default, and one critic step in place of five.
    Source: AttGAN (He et al., 2019), arXiv 1711.10678; A1 of Generative Counterfactuals for Neural Networks
    via Attribute-Informed Perturbation (Yang et al., 2021), arXiv 2101.06930.
    """

    net: AttGAN

    def __init__(
        self,
        net: AttGAN,
        data: ImageData,
        *,
        loss: Literal["hinge", "wgan_gp"] = "hinge",
        adversarial: Weight | bool = 1.0,
        attribute: Weight = 10.0,
        reconstruction: Weight = 100.0,
        critic_steps: Count = 1,
        betas: tuple[Decay, Decay] = (0.5, 0.999),
        pictures: Whole = 8,
        **options: Any,
    ) -> None:
        super().__init__(net, **options)
        if adversarial and net.norm != NORMS[loss]:
            raise UserError(
                f"generative.net.norm={net.norm} does not go with generative.training.loss={loss}; set "
                f"generative.net.norm={NORMS[loss]}"
            )
        self.automatic_optimization = False
        self.read = BatchAttributes(data, net.attribute_names)
        self.loss = loss
        self.adversarial = float(adversarial)
        self.attribute = attribute
        self.reconstruction = reconstruction
        self.critic_steps = critic_steps
        self.betas = (betas[0], betas[1])
        self.pictures = pictures

    def configure_optimizers(self) -> Any:
        """One Adam for encoder and decoder, one for the critic."""
        generator = [*self.net.encoder.parameters(), *self.net.decoder.parameters()]
        return [
            torch.optim.Adam(part, lr=self.lr, betas=self.betas)
            for part in (generator, list(self.net.critic.parameters()))
        ]

    def training_step(self, batch: Batch, index: int) -> None:
        """A step of the critic, and every `critic_steps`-th time one of the generator."""
        generator, critic = self.optimizers()  # type: ignore[attr-defined]  # two, as configured
        for optimizer in (generator, critic):
            optimizer.param_groups[0]["lr"] = self.lr * self._schedule(index)
        a = self.read(batch)
        if not self.adversarial:
            self._literal_step(batch.x, a, generator, critic)
            return
        b = a[torch.randperm(len(a), device=a.device)]
        self._critic_step(batch.x, a, b, critic)
        if (index + 1) % self.critic_steps == 0:
            self._generator_step(batch.x, a, b, generator)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Reconstruction error and what the critic reads off edits; pictures of the first batch."""
        self._evaluate("val", batch)
        if index == 0 and self.pictures:
            self._show(batch.x[: self.pictures], self.read(batch)[: self.pictures])

    def test_step(self, batch: Batch, _index: int) -> None:
        """The same on the test split."""
        self._evaluate("test", batch)

    def _critic_step(self, x: Tensor, a: Tensor, b: Tensor, optimizer: Any) -> None:
        with torch.no_grad():
            made = self.net.decode(self.net.encode(x), b)
        real, logits = self.net.critique(x)
        fake, _ = self.net.critique(made)
        if self.loss == "hinge":
            adversarial = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        else:
            adversarial = fake.mean() - real.mean() + 10 * self._penalty(x, made)
        reading = F.binary_cross_entropy_with_logits(logits, a)
        self._descend(adversarial + reading, optimizer)
        self.report("train", {"critic": adversarial.detach(), "reading": reading.detach()}, len(x))

    def _generator_step(self, x: Tensor, a: Tensor, b: Tensor, optimizer: Any) -> None:
        code = self.net.encode(x)
        kept, edited = self.net.decode(torch.cat((code, code)), torch.cat((a, b))).chunk(2)
        fake, logits = self.net.critique(edited)
        reconstruction = 2 * (x - kept).abs().mean()
        attribute = F.binary_cross_entropy_with_logits(logits, b)
        total = (
            self.adversarial * -fake.mean()
            + self.attribute * attribute
            + self.reconstruction * reconstruction
        )
        self._descend(total, optimizer)
        self.report(
            "train",
            {
                "l1": reconstruction.detach() / 2,
                "attribute": attribute.detach(),
                "fooled": fake.detach().mean(),
            },
            len(x),
        )

    def _literal_step(self, x: Tensor, a: Tensor, *optimizers: Any) -> None:
        kept = self.net.decode(self.net.encode(x), a)
        reading = F.binary_cross_entropy_with_logits(self.net.critique(kept)[1], a, reduction="sum") / len(x)
        distance = 2 * (x - kept).flatten(1).norm(dim=1).mean()
        self._descend(reading + distance, *optimizers)
        self.report("train", {"l1": (x - kept).detach().abs().mean(), "attribute": reading.detach()}, len(x))

    def _descend(self, total: Tensor, *optimizers: Any) -> None:
        self.net.zero_grad(set_to_none=True)
        self.manual_backward(total)
        for optimizer in optimizers:
            optimizer.step()

    def _penalty(self, x: Tensor, made: Tensor) -> Tensor:
        between = torch.lerp(x, made, torch.rand(len(x), 1, 1, 1, device=x.device)).requires_grad_()
        (gradient,) = torch.autograd.grad(self.net.critique(between)[0].sum(), between, create_graph=True)
        penalty: Tensor = (gradient.flatten(1).norm(dim=1) / 2 - 1).square().mean()
        return penalty

    def _schedule(self, index: int) -> float:
        done = (self.current_epoch + index / max(self.trainer.num_training_batches, 1)) / max(self.epochs, 1)
        return min(1.0, 2 - 2 * done)

    def _evaluate(self, stage: str, batch: Batch) -> None:
        a = self.read(batch)
        b = a.roll(1, 0)
        code = self.net.encode(batch.x)
        l1 = (self.net.decode(code, a) - batch.x).abs().mean()
        edited = self.net.attributes(self.net.decode(code, b))
        values = {
            "l1": l1,
            "attribute_error": (self.net.attributes(batch.x) - a).abs().mean(),
            "edit_error": (edited - b).abs().mean(),
        }
        self.report(stage, values, len(a))

    def _show(self, x: Tensor, a: Tensor) -> None:
        rows = torch.cat((x[:, None], single_edits(self.net, x, a, self.read.exclusive)), dim=1)
        key = f"{self.name}/image, reconstruction, {', '.join(self.net.attribute_names)}"
        log_grid(self, key, rows.flatten(0, 1), columns=rows.shape[1])


def single_edits(
    net: AttGAN, x: Tensor, a: Tensor, exclusive: Sequence[int] = (), apart: Tensor | None = None
) -> Tensor:
    """The reconstruction, then each attribute moved alone to its farther end.

    Args:
        net: the model.
        x: (B, C, H, W) in [0, 1].
        a: (B, A), their attributes.
        exclusive: columns of which one alone can be set, such as classes: these are set, and the others taken
            off.
        apart: (A, A) bool, attributes that never occur together: setting one takes the others off.

    Returns:
        (B, 1 + A, C, H, W).
    """
    moved = torch.diag_embed((a < 0.5).to(a) - a) + a[:, None]
    for column in exclusive:
        moved[:, column, list(exclusive)] = 0.0
        moved[:, column, column] = 1.0
    if apart is not None:
        moved = moved.masked_fill(apart & (moved.diagonal(dim1=1, dim2=2) > 0.5)[:, :, None], 0.0)
    conditions = torch.cat((a[:, None], moved), dim=1)
    code = net.encode(x).repeat_interleave(conditions.shape[1], dim=0)
    images: Tensor = net.decode(code, conditions.flatten(0, 1))
    return torch.unflatten(images, 0, (len(x), -1))
