"""Has a classifier grade the training images, so that the knob can be fitted to what it says."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from counterfoil.data.base import Images
from counterfoil.generative.knob import Knob

log = logging.getLogger("counterfoil")


def grade(classifier: nn.Module, knob: Knob, images: Images, rows: int = 512) -> Tensor:
    """Log-odds (T, N) of a split, a row a slot, on the CPU; `rows` images at once."""
    reference = next(classifier.parameters(), torch.zeros(1))
    parts = []
    with torch.no_grad():
        for start in range(0, len(images), rows):
            logits = classifier(images[slice(start, start + rows)].x.to(reference)).float().cpu()
            parts.append(
                torch.stack(
                    [
                        knob.log_odds(logits, torch.full((len(logits),), slot))
                        for slot in range(len(knob.slots))
                    ]
                )
            )
    return torch.cat(parts, dim=1)


def announce(name: str, knob: Knob, mode: str, counts: Tensor) -> None:
    """Tell what the bins lie on, the temperature of each slot, and how full the bins are: `counts` (T, bins) training images."""
    taus = ", ".join(f"{tau:.2f}" for tau in knob.temperature.tolist())
    kinds = {
        "raw": "the classifier's own posterior",
        "logit": "the logit",
        "temperature": "the calibrated posterior",
    }
    filled = f"{int(counts.min())} to {int(counts.max())} training images a bin"
    log.info(f"{name}: {knob.describe()}; bins of equal width on {kinds[mode]}, temperature {taus}; {filled}")
