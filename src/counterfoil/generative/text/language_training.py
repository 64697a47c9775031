"""Trains a language model on texts that no classifier and no generator has seen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch, ImageData
from counterfoil.data.texts import TextData
from counterfoil.generative.text.language import TextLM
from counterfoil.util import together
from counterfoil.util.training import Training


class TextLMTraining(Training):
    """Minimises the mean cross-entropy of the next token, on the texts that the data hold apart.

    Logged: the perplexity of the validation and test texts, exp of the mean over all of their tokens.

    Args:
        net: a `TextLM`; others see `Training`.
    """

    net: TextLM

    def __init__(self, net: TextLM, **options: Any) -> None:
        super().__init__(net, **options)
        self.sums: list[tuple[Tensor, Tensor]] = []

    def prepare(self, data: ImageData) -> ImageData:
        """The data with the texts held apart to train on."""
        given: ImageData = super().prepare(data)
        if not isinstance(given, TextData):
            raise UserError(
                f"text_lm is trained on texts, data={given.name} holds images; choose data=reviews"
            )
        return given.with_train(given.apart)

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step."""
        total, number = self._sum(batch)
        loss = -total / number.clamp(min=1)
        self.report("train", {"loss": loss}, len(batch.x))
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Collect, so that each token counts alike."""
        self.sums.append(self._sum(batch))

    def test_step(self, batch: Batch, _index: int) -> None:
        """The same on the test split."""
        self.sums.append(self._sum(batch))

    def on_validation_epoch_end(self) -> None:
        """Log the perplexity."""
        self._perplexity("val")

    def on_test_epoch_end(self) -> None:
        """Log the perplexity."""
        self._perplexity("test")

    def _sum(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Log-probability of all tokens of a batch, and how many there are."""
        said, known = self.net.said(self.net.read(batch.x))
        return said.sum(), known.sum()

    def _perplexity(self, stage: str) -> None:
        total, number = (torch.stack(part).sum() for part in zip(*together.gathered(self.sums), strict=True))
        self.sums.clear()
        loss = -total / number.clamp(min=1)
        self.report(stage, {"loss": loss, "perplexity": loss.exp()}, int(number))
