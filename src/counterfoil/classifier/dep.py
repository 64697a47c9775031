"""A classifier that predicts its own error from its features: direct error prediction."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from counterfoil.classifier.cnn import CNN
from counterfoil.core.bounds import Count, Decay


class DEP(CNN):
    """The CNN with a side network that reads every block and predicts the loss.

    e(x) = w . concat_l ReLU(W_l GAP(psi_l(x)))

    Args:
        channels: input channels C.
        classes: outputs K.
        width: channels of the first stage; each further stage doubles them.
        stages: number of halvings, and of taps.
        dropout: on the embedding.
        side: units per tap.

    Departures: averaged positions and sizes of the side network are ours.
    Source: Learning Loss for Active Learning (Yoo and Kweon, 2019), arXiv 1905.03677; used as in Predicting
    with High Correlation Features and Loss Estimation (Thiagarajan et al., 2021)
    """

    def __init__(
        self,
        channels: Count = 1,
        classes: Count = 10,
        width: Count = 32,
        stages: Count = 3,
        dropout: Decay = 0.1,
        side: Count = 32,
    ) -> None:
        super().__init__(channels, classes, width, stages, dropout)
        self.error_layers = tuple(f"blocks.{i}" for i in range(stages))
        self.taps = nn.ModuleList(
            nn.Sequential(nn.Linear(width * 2**i, side), nn.ReLU()) for i in range(stages)
        )
        self.error = nn.Linear(side * stages, 1)

    def predict_error(self, features: Mapping[str, Tensor]) -> Tensor:
        """The predicted loss (B,), unbounded, right in order only, from the activations of `error_layers`."""
        read = [
            tap(features[name].flatten(2).mean(2))
            for name, tap in zip(self.error_layers, self.taps, strict=True)
        ]
        predicted: Tensor = self.error(torch.cat(read, 1))[:, 0]
        return predicted

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (B, K) and predicted loss (B,) of inputs (B, C, H, W), in one pass."""
        features: dict[str, Tensor] = {}
        for name, block in zip(self.error_layers, self.blocks, strict=True):
            x = features[name] = block(x)
        return self.head(self.pool(x)), self.predict_error(features)
