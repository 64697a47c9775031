"""What a model's strips do, image by image and in a few figures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterfoil.generative.exaggerator import Exaggerator
from counterfoil.util.rank import spearman


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
        the strips (B, S, C, H, W), and by name: `requested`, `obtained` (B, S) calibrated posteriors; `inside` bool (B, S), whether an
        image lies in its bin; `valid` bool (B, E), whether the classifier decides for the class at each end of the strip that is one
        class; `l1`, `cycle`, `change` (B,), mean absolute error of x redrawn, of x redrawn from the strip's end, and between the ends.
    """
    knob, own = model.knob, model.own_cell(classifier(x), slot)
    code = model.encode(x, own)
    frames = [
        model.decode(code, model.cell(slot, torch.full_like(slot, k))).float() for k in range(knob.bins)
    ]
    graded = [classifier(frame).float() for frame in frames]
    obtained = torch.stack([knob.log_odds(logits, slot) for logits in graded], dim=1)
    top = torch.tensor(knob.slots, device=x.device)[slot]
    ends = [graded[-1].argmax(1) == top] + ([graded[0].argmax(1) == knob.low] if knob.low is not None else [])
    bins = torch.arange(knob.bins, device=x.device).expand(len(x), -1)
    again = model.encode(frames[-1], model.cell(slot, bins[:, -1]))
    return torch.stack(frames, dim=1), {
        "requested": torch.stack([knob.request(slot, k) for k in bins.T], dim=1),
        "obtained": (obtained / knob.temperature[slot][:, None]).sigmoid(),
        "inside": torch.stack([knob.bin_of(column, slot) for column in obtained.T], dim=1) == bins,
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
    """What strips say about compatibility.

    Args:
        requested, obtained: calibrated posteriors (N, S), S bins in ascending order.
        inside: bool (N, S), whether the image lies in the bin requested.
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
