"""Validates a training of progressive exaggeration: figures of strips, and stopping at a divergence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.query import reaches
from counterfoil.core.strip import Strip
from counterfoil.generative.exaggeration.network import Exaggerator
from counterfoil.util.rank import spearman
from counterfoil.util.training import Diverged


@torch.no_grad()
def measure(
    model: Exaggerator, classifier: nn.Module, x: Tensor, slot: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Draw strips and have the classifier read them.

    Args:
        model: in eval mode.
        classifier: images in [0, 1] -> logits (B, K).
        x: (B, C, H, W) in [0, 1].
        slot: (B,), the slot under which each image is seen.

    Returns:
        the strips (B, S, C, H, W), and by name:
        `requested`, `obtained`, `inside` (B, S): see `core.strip.Posteriors`.
        `valid` (B, E): whether the classifier decides for the class at each end that is one class.
        `l1`, `cycle`, `change` (B,): mean absolute error of x redrawn, of x redrawn from the strip's end, and
        between the ends.
    """
    knob, logits = model.knob, classifier(x)
    own, scale, steps = model.own_cell(logits, slot), knob.scale(slot), range(knob.bins)
    code = model.encode(x, own)
    bins = [torch.full_like(slot, k) for k in steps]
    frames = [model.decode(code, model.cell(slot, bin)).float() for bin in bins]
    graded = torch.stack([classifier(frame).float() for frame in frames], dim=1)
    requested = torch.stack([knob.request(slot, bin) for bin in bins], dim=1)
    strip = Strip(torch.stack(frames, dim=1), requested, graded, scale)
    read = strip.posteriors(scale.high, logits)
    assert read is not None
    ends = [reaches(graded[:, -1], scale.high)]
    if knob.low is not None:
        ends.append(reaches(graded[:, 0], torch.full_like(slot, knob.low)))
    again = model.encode(frames[-1], model.cell(slot, bins[-1]))
    return strip.images, {
        "requested": read.requested,
        "obtained": read.obtained,
        "inside": read.inside,
        "valid": torch.stack(ends, dim=1),
        "l1": (model.decode(code, own) - x).abs().flatten(1).mean(1),
        "cycle": (model.decode(again, own) - x).abs().flatten(1).mean(1),
        "change": (frames[-1] - frames[0]).abs().flatten(1).mean(1),
    }


def summarise(parts: Sequence[dict[str, Tensor]]) -> dict[str, float]:
    """The figures of `strip_figures` and the mean errors, over several batches of `measure`."""
    joined = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    figures = strip_figures(*(joined[key] for key in ("requested", "obtained", "inside", "valid")))
    return figures | {key: float(joined[key].double().mean()) for key in ("l1", "cycle", "change")}


def strip_figures(requested: Tensor, obtained: Tensor, inside: Tensor, valid: Tensor) -> dict[str, float]:
    """Compatibility of strips.

    Args:
        requested, obtained: calibrated posteriors (N, S), S bins in ascending order.
        inside: (N, S), whether the image lies in the bin requested.
        valid: bool (N, E), whether the classifier decides for the class at an end of the strip.
    """
    error = (obtained - requested).double()
    figures = {
        "rho": spearman(requested.flatten(), obtained.flatten()),
        "mae": float(error.abs().mean()),
        "mse": float(error.square().mean()),
        "inside": float(inside.double().mean()),
        "extreme_validity": float(valid.double().mean()),
    }
    return figures | {f"obtained_{k}": float(value) for k, value in enumerate(obtained.double().mean(0))}


@dataclass
class Watch:
    """Names a divergence and stops the training with advice.

    Args:
        grace: share of the training before strips are judged, in [0, 1].
        least_rho: rank correlation between requested and obtained posterior below which the request counts as
            ignored.
        won: hinge loss of the discriminator below which it has won, and above 2 - `won` with scores that do
            not vary it is dead.
        patience: validations in a row that a discriminator may look collapsed.
    """

    grace: float = 0.5
    least_rho: float = 0.2
    won: float = 0.01
    patience: int = 3
    _bad: int = 0

    def step(self, terms: Mapping[str, Tensor]) -> None:
        """Refuse a loss that is NaN or infinite; `terms` are those of one step."""
        for name, value in terms.items():
            number = float(value.detach())
            if not math.isfinite(number):
                raise Diverged(
                    f"exaggerator: training diverged, the loss term {name} is {number}; lower training.lr, "
                    "or use trainer=default (precision 32-true)"
                )

    def epoch(self, discriminator: float, scatter: float, rho: float, change: float, progress: float) -> None:
        """Judge one validation.

        Args:
            discriminator: mean hinge loss of the epoch, in [0, inf).
            scatter: standard deviation of its scores on the last batch.
            rho: rank correlation between requested and obtained posterior.
            change: mean absolute difference between the two ends of the strips.
            progress: share of the training done.
        """
        collapsed = discriminator < self.won or scatter < 1e-5
        self._bad = self._bad + 1 if collapsed else 0
        if self._bad >= self.patience:
            what = "always wins" if discriminator < self.won else "gives every image the same score"
            raise UserError(
                f"exaggerator: the discriminator has collapsed (it {what}: hinge loss {discriminator:.3g} "
                f"for {self._bad} validations); lower training.d_steps or training.lr, or make the "
                "discriminator's width smaller (larger if it scores all alike)"
            )
        if progress >= self.grace and (not rho >= self.least_rho or change < 1e-3):
            raise UserError(
                f"exaggerator: the generator ignores the requested bin (rho {rho:.2f}, ends of a strip "
                f"differ by {change:.4f} per pixel after {progress:.0%} of the training); raise "
                "training.lambda_cls to 5-10 or lower training.lambda_rec to 10-20, or train longer "
                "(training.epochs)"
            )
