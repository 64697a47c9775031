"""Trains a CycleGAN between pairs of classes; no classifier is asked."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Decay, Weight, Whole
from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch, ImageData
from counterfoil.generative.cyclegan.network import Critic, CycleGAN
from counterfoil.util.pictures import log_grid
from counterfoil.util.training import Training


class CycleGANTraining(Training):
    """Alternates a step of both generators and one of both critics, on the images of a pair of classes.

    Of more than two classes each step takes the next pair.

    L_G = sum_k E (D_k(G_k(x)) - 1)² + lambda_cyc E ||x - G_j(G_k(x))||_1 + lambda_id E ||y - G_k(y)||_1
    L_D = sum_k E (D_k(y) - 1)² / 2 + E D_k(G_k(x))² / 2

    with y of class k and x of the other class j. L1 terms are means over pixels of images scaled to [-1, 1].

    Args:
        net: a `CycleGAN`.
        lambda_cyc: weight of the cycle.
        lambda_id: weight of images of a class drawn again by its own generator; 0 leaves them out.
        width: channels of the critics' first layer.
        beta: the first of Adam's betas, the second is 0.999.
        pictures: validation images of each class shown with their translations.
        others: see `Training`; the learning rate is held for the first half and then falls linearly to 0.

    Departures: the critics see the newest translations, not a pool of earlier ones; critics of small images
    with a single kind of patch; batches larger than 1.
    Source: Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu et al.,
    2017), arXiv 1703.10593.
    """

    net: CycleGAN

    def __init__(
        self,
        net: CycleGAN,
        *,
        lambda_cyc: Weight = 10.0,
        lambda_id: Weight = 0.0,
        width: Count = 32,
        beta: Decay = 0.5,
        pictures: Whole = 8,
        **options: Any,
    ) -> None:
        super().__init__(net, **options)
        channels = net.generators[0][0].in_channels  # type: ignore[index]
        self.critics = nn.ModuleList(Critic(channels, width) for _ in net.targets)
        self.pairs = list(combinations(range(len(net.targets)), 2))
        self.automatic_optimization = False
        self.lambda_cyc, self.lambda_id = lambda_cyc, lambda_id
        self.beta = beta
        self.pictures = pictures

    def prepare(self, data: ImageData) -> ImageData:
        """The training images of the net's classes alone.

        Raises:
            UserError: training images that lack one of them.
        """
        wanted = torch.tensor(self.net.targets)
        rows = torch.isin(data.train.labels, wanted).nonzero()[:, 0]
        found = data.train.labels[rows].unique().tolist()
        if len(found) < len(wanted):
            raise UserError(
                f"cyclegan: the training images hold of the classes {list(self.net.targets)} only {found}; "
                "choose other net.targets"
            )
        kept = data.with_train(data.train.take(rows))
        kept.batch_size = self.batch_size
        return kept

    def training_step(self, batch: Batch, index: int) -> None:
        """A step of the generators, then one of the critics; a batch of a single class is passed over."""
        generator, critic = self.optimizers()  # type: ignore[attr-defined]  # two, as configured
        for optimizer in (generator, critic):
            optimizer.param_groups[0]["lr"] = self.lr * self._schedule(index)
        pair = self.pairs[index % len(self.pairs)]
        real = [batch.x[batch.y == self.net.targets[place]] for place in pair]
        if not all(map(len, real)):
            return
        made = [self.net.draw(x, place) for x, place in zip(real[::-1], pair, strict=True)]
        self.critics.requires_grad_(False)
        terms = self._generators(pair, real, made)
        total = terms["gan"] + self.lambda_cyc * terms["cycle_l1"] + self.lambda_id * terms["id_l1"]
        self._descend(total, generator)
        self.critics.requires_grad_(True)
        terms["critic"] = self._critics(pair, real, [image.detach() for image in made])
        self._descend(terms["critic"], critic)
        self.report("train", {key: value.detach() for key, value in terms.items()}, len(batch.x))

    def validation_step(self, batch: Batch, index: int) -> None:
        """The cycle's error; pictures of the first batch."""
        self._evaluate("val", batch)
        if index == 0 and self.pictures:
            self._show(batch)

    def test_step(self, batch: Batch, _index: int) -> None:
        """The same on the test split."""
        self._evaluate("test", batch)

    def configure_optimizers(self) -> Any:
        """One Adam for both generators, one for both critics."""
        return [
            torch.optim.Adam(part.parameters(), lr=self.lr, betas=(self.beta, 0.999))
            for part in (self.net, self.critics)
        ]

    def _generators(self, pair: tuple[int, int], real: list[Tensor], made: list[Tensor]) -> dict[str, Tensor]:
        """The unweighted terms of L_G; real and made images are listed by the class that they show."""
        both = list(zip(pair, real, made, strict=True))
        gan = [squared(self.critics[place](2 * image - 1), 1.0) for place, _real, image in both]
        back = [
            difference(x, self.net.draw(image, place))
            for place, x, image in zip(pair, real, made[::-1], strict=True)
        ]
        own = [real[0].new_zeros(())]
        if self.lambda_id:
            own = [difference(x, self.net.draw(x, place)) for place, x, _made in both]
        parts = {"gan": gan, "cycle_l1": back, "id_l1": own}
        return {name: torch.stack(losses).sum() for name, losses in parts.items()}

    def _critics(self, pair: tuple[int, int], real: list[Tensor], made: list[Tensor]) -> Tensor:
        """L_D."""
        losses = [
            squared(self.critics[place](2 * image - 1), wanted) / 2
            for place, *shown in zip(pair, real, made, strict=True)
            for image, wanted in zip(shown, (1.0, 0.0), strict=True)
        ]
        return torch.stack(losses).sum()

    def _descend(self, total: Tensor, optimizer: Any) -> None:
        optimizer.zero_grad()
        self.manual_backward(total)
        optimizer.step()

    def _schedule(self, index: int) -> float:
        done = (self.current_epoch + index / max(self.trainer.num_training_batches, 1)) / max(self.epochs, 1)
        return min(1.0, 2 - 2 * done)

    def _evaluate(self, stage: str, batch: Batch) -> None:
        x, _there, back = self._there_and_back(batch)
        if len(x):
            self.report(stage, {"l1": (back - x).abs().mean()}, len(x))

    def _there_and_back(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The images of the net's classes, each as the next class, and drawn back to its own."""
        labels = torch.tensor(self.net.targets, device=batch.y.device)
        place = (batch.y[:, None] == labels).int()
        rows = place.any(1).nonzero()[:, 0]
        x, own = batch.x[rows], place[rows].argmax(1)
        there = self.net.translate(x, labels[(own + 1) % len(labels)])
        return x, there, self.net.translate(there, labels[own])

    def _show(self, batch: Batch) -> None:
        shown = torch.cat([part[: self.pictures] for part in self._there_and_back(batch)])
        if len(shown):
            log_grid(self, f"{self.name}/images, translated, back", shown, columns=len(shown) // 3)


def squared(scores: Tensor, wanted: float) -> Tensor:
    """Least-squares loss of scores to 1 (real) or 0 (made)."""
    return (scores.float() - wanted).square().mean()


def difference(wanted: Tensor, found: Tensor) -> Tensor:
    """Mean absolute difference of images scaled to [-1, 1]."""
    return 2 * (wanted - found.float()).abs().mean()
