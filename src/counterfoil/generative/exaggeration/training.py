"""Trains the generator of progressive exaggeration against a frozen classifier."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from counterfoil.classifier.training import augment
from counterfoil.core.bounds import Count, Decay, Seed, Weight, Whole
from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData, stratified
from counterfoil.generative.exaggeration.data import (
    Asked,
    BalancedData,
    BalancedSampler,
    InOrder,
    fill,
    grade,
    of_classes,
    refuse_single_class,
)
from counterfoil.generative.exaggeration.discriminator import Discriminator
from counterfoil.generative.exaggeration.loss import Terms
from counterfoil.generative.exaggeration.network import Exaggerator
from counterfoil.generative.exaggeration.validation import Watch, measure, summarise
from counterfoil.util import together
from counterfoil.util.checkpoint import load_weights
from counterfoil.util.fingerprint import fingerprint
from counterfoil.util.pictures import log_grid
from counterfoil.util.training import Training


class ExaggerationTraining(Training):
    """Alternates a conditional discriminator and the generator, which the classifier's gradient reaches.

    L_D = E max(0, 1 - D(x, k_s)) + E max(0, 1 + D(x_t, k_t)),             x_t = G(E(x), k_t), k_t uniform
    L_G = - lambda_gan E D(x_t, k_t)
          + lambda_cls (KL(p_t || q(x_t)) + KL(q(x) || q(x_r)))            x_r = G(E(x), k_s)
          + lambda_rec ||x - x_r||_1 + lambda_cyc ||x - x_c||_1            x_c = G(E(x_t), k_s)

    q is the calibrated posterior (see `Knob`), p_t the centre of bin k_t, k_s the bin of x by the
    classifier's own output. L1 terms are means over pixels of images scaled to [-1, 1], so that the paper's
    weights keep their meaning. Kept is a moving average of the generator.

    Args:
        net: an `Exaggerator`.
        classifier: frozen; images in [0, 1] -> logits (B, K).
        lambda_gan, lambda_cls, lambda_rec: weights under the paper's names; 0 leaves a term out.
        lambda_cyc: weight of the cycle; None: as lambda_rec.
        lambda_embed: weight of the official code's mean squared distance between the codes of x and x_t.
        d_steps: n_D, discriminator steps per generator step.
        discriminator: options of `Discriminator`.
        calibration: auto, raw, temperature or logit; see `Knob.fit`.
        enough: training images wanted in the smallest bin.
        empty: what to do with a bin that no training image lies in: "error", or "borrow" real images of the
            nearest filled bin.
        steps: discriminator steps per epoch.
        average: weight of the past in the moving average, in [0, 1).
        shift, flip: of training images, before the classifier sees them.
        watched, tested: validation and test images whose strips are measured.
        pictures: strips logged after each validation.
        stop_when_diverged: end a training that does not make sense, with advice.
        data_seed: of the draws of training images.
        start: weights of an exaggerator of the same shape to go on from; the discriminator starts anew. None:
            random weights.
        others: see `Training`; lr is Adam's, betas (0, 0.9), constant for half of the training, then linear
            to zero.

    Departures: 1 discriminator step per generator step, smaller networks and a falling learning rate, for a
    small budget; a moving average; shifted images.
    Source: Explanation by Progressive Exaggeration (Singla et al., ICLR 2020), arXiv 1911.00483.
    """

    net: Exaggerator
    classifier: nn.Module
    options_of: ClassVar[Mapping[str, type]] = {"discriminator": Discriminator}
    """Classes that options are handed on to; their defaults are no part of a model's address."""

    def __init__(
        self,
        net: Exaggerator,
        *,
        classifier: nn.Module | None,
        lambda_gan: Weight = 1.0,
        lambda_cls: Weight = 1.0,
        lambda_rec: Weight = 100.0,
        lambda_cyc: Weight | None = None,
        lambda_embed: Weight = 0.0,
        d_steps: Count = 1,
        discriminator: Mapping[str, Any] | None = None,
        calibration: str = "auto",
        enough: Whole = 30,
        empty: str = "error",
        steps: Count = 250,
        average: Decay = 0.999,
        shift: Whole = 0,
        flip: bool = False,
        watched: Count = 256,
        tested: Count = 1000,
        pictures: Whole = 8,
        stop_when_diverged: bool = True,
        data_seed: Seed = 0,
        start: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(net, **options)
        if classifier is None:
            raise UserError(
                "generative exaggerator is trained against a classifier, found none; choose one, such as "
                "classifier=cnn"
            )
        if not isinstance(net, Exaggerator):
            raise UserError(f"generative exaggerator: net must be an Exaggerator, found {type(net).__name__}")
        if empty not in ("error", "borrow"):
            raise UserError(f"training.empty={empty} is not known; choose error or borrow")
        if steps < d_steps:
            raise UserError(f"training.d_steps={d_steps}, steps={steps}: expected d_steps <= steps")
        self.classifier = classifier.eval().requires_grad_(False)
        channels = net.stem.in_channels
        stages = {"stages": net.stages} | dict(discriminator or {})
        self.discriminator = Discriminator(channels, net.size, len(net.knob.slots), net.knob.bins, **stages)
        if options.get("channels_last", True):
            self.discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start is not None:
            load_weights(net, start)
        self.average = copy.deepcopy(net).requires_grad_(False).eval()
        lambda_cyc = lambda_rec if lambda_cyc is None else lambda_cyc
        self.weights = {
            "gan": lambda_gan,
            "cls": lambda_cls,
            "self": lambda_cls,
            "rec": lambda_rec,
            "cyc": lambda_cyc,
        }
        self.weights["embed"] = lambda_embed
        self.terms = Terms(net, self.discriminator, self.classifier, self.weights)
        self.d_steps, self.steps, self.keep = d_steps, steps, average
        self.calibration, self.enough, self.empty = calibration, enough, empty
        self.shift, self.flip = shift, flip
        self.watched, self.tested, self.pictures, self.data_seed = watched, tested, pictures, data_seed
        self.watch = Watch() if stop_when_diverged else None
        self.automatic_optimization = False
        self.strips: list[dict[str, Tensor]] = []
        self.critic = (torch.ones(()), torch.ones(()))

    def prepare(self, data: ImageData) -> BalancedData:
        """Have the classifier grade the training images, fit the knob and sort the images into cells.

        Raises:
            UserError: training images of a single class, a classifier that ignores its input, bins without
                images.
        """
        knob = self.net.knob
        train, val, test = (of_classes(part, knob.pair) for part in (data.train, data.val, data.test))
        refuse_single_class(train, knob.pair)
        graded, held = together.shared(
            lambda: tuple(grade(self.classifier, knob, part) for part in (train, val))
        )
        mode, counts = knob.fit(held, graded, self.calibration, self.enough)
        knob.classifier.copy_(fingerprint(self.classifier))
        self.average.knob.load_state_dict(knob.state_dict())
        knob.announce(self.name, mode, counts)
        cells, self.borrowed = fill(knob.bins_of(graded), knob.bins, self.empty)
        slots = len(knob.slots)
        samplers = (
            BalancedSampler(cells, knob.bins, self.batch_size, self.steps, self.data_seed),
            InOrder(stratified(val.labels, self.watched, 0), slots, 128),
            InOrder(stratified(test.labels, self.tested, 0), slots, 128),
        )
        return BalancedData(train, val, test, samplers)

    def training_step(self, batch: Asked, index: int) -> None:
        """A discriminator step; each `d_steps`-th time a generator step on the same images, drawn once."""
        generator_turn = (index + 1) % self.d_steps == 0
        optimizer_g, optimizer_d = cast(list[Any], self.optimizers())
        x, slot, own, source = self._see(batch)
        requested = torch.randint(self.net.knob.bins, slot.shape, device=x.device)
        with torch.set_grad_enabled(generator_turn):
            code = self.net.encode(x, self.net.cell(slot, own))
            drawn = self.terms.draw(code, slot, requested, own)
        critic = self._critic_loss(x, drawn[: len(x)].detach(), slot, self._claimed(batch, own), requested)
        self._advance(optimizer_d, critic["critic"])
        if generator_turn:
            self.discriminator.requires_grad_(False)
            terms = self.terms.generator(x, code, drawn, slot, own, requested, source)
            self._advance(
                optimizer_g, sum((self.weights[key] * value for key, value in terms.items()), x.new_zeros(()))
            )
            self.discriminator.requires_grad_(True)
            self._follow()
            critic |= terms
        if self.watch and index % 50 == 0:
            self.watch.step({key: together.averaged(value.detach()) for key, value in critic.items()})
        for schedule in cast(list[Any], self.lr_schedulers())[0 if generator_turn else 1 :]:
            schedule.step()
        self.report("train", {key: value.detach() for key, value in critic.items()}, len(x))

    def _see(self, batch: Asked) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Moved images, slots, their own bins and scaled log-odds by the classifier."""
        x = augment(batch.x, self.shift, self.flip)
        with torch.no_grad():
            scaled = self.terms.scaled(x, batch.slot)
            own = self.net.knob.bin_of(scaled * self.net.knob.temperature[batch.slot], batch.slot)
        return x, batch.slot, own, scaled

    def _claimed(self, batch: Asked, own: Tensor) -> Tensor:
        """The bin that a real image claims: its own, save for an image borrowed for an empty cell."""
        borrowed = self.borrowed.to(own.device)[self.net.cell(batch.slot, batch.bin)]
        return torch.where(borrowed, batch.bin, own)

    def _critic_loss(
        self, real: Tensor, fake: Tensor, slot: Tensor, own: Tensor, requested: Tensor
    ) -> dict[str, Tensor]:
        loss, scores = self.terms.critic(real, fake, slot, own, requested)
        self.critic = (self.critic[0].to(loss).lerp(loss.detach(), 0.02), scores.detach().std())
        return {"critic": loss}

    def _advance(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the generator; a short memory at first."""
        seen = self.trainer.global_step / 2
        weight = 1 - min(self.keep, (1 + seen) / (10 + seen))
        for kept, value in zip(
            self.average.state_dict().values(), self.net.state_dict().values(), strict=True
        ):
            if kept.is_floating_point():
                kept.lerp_(value.to(kept), weight)
            else:
                kept.copy_(value)

    def validation_step(self, batch: Asked, index: int) -> None:
        """Strips of the fixed validation images."""
        frames = self._measure(batch)
        if index == 0 and self.pictures:
            shown = torch.cat((batch.x[:, None], frames), 1)[: self.pictures]
            log_grid(self, f"{self.name}/factual, strip", shown.flatten(0, 1), columns=shown.shape[1])

    def test_step(self, batch: Asked, index: int) -> None:
        """The same on the test split."""
        self._measure(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the figures and have them judged."""
        figures = self._figures("val")
        if self.watch and not self.trainer.sanity_checking:
            progress = (self.current_epoch + 1) / max(int(self.trainer.max_epochs or 1), 1)
            loss, scatter = (float(together.averaged(value)) for value in self.critic)
            self.watch.epoch(loss, scatter, figures["rho"], figures["change"], progress)

    def on_test_epoch_end(self) -> None:
        """Log the figures."""
        self._figures("test")

    def on_train_end(self) -> None:
        """Keep the average."""
        self.net.load_state_dict(self.average.state_dict())

    def _measure(self, batch: Asked) -> Tensor:
        """Note what the average's strips (B, S, C, H, W) of a batch do."""
        frames, measured = measure(self.average, self.classifier, batch.x, batch.slot)
        self.strips.append(measured)
        return frames

    def _figures(self, stage: str) -> dict[str, float]:
        figures = summarise(together.gathered(self.strips))
        self.strips.clear()
        shown = (
            figures
            if stage == "val"
            else {key: value for key, value in figures.items() if not key.startswith("obtained_")}
        )
        self.report(stage, {key: torch.tensor(value, dtype=torch.float32) for key, value in shown.items()}, 1)
        return figures

    def configure_optimizers(self) -> Any:
        """Adam for the generator and for the discriminator, each with the same schedule."""
        optimizers = [
            torch.optim.Adam(part.parameters(), lr=self.lr, betas=(0.0, 0.9))
            for part in (self.net, self.discriminator)
        ]
        totals = (self.steps // self.d_steps * self.epochs, self.steps * self.epochs)
        schedules = [
            torch.optim.lr_scheduler.LambdaLR(one, partial(falling, total))
            for one, total in zip(optimizers, totals, strict=True)
        ]
        return optimizers, schedules


def falling(total: int, step: int) -> float:
    """Factor on the learning rate: 1 for half of the steps, then linear to zero."""
    return min(1.0, 2 * (1 - step / (total + 1)))
