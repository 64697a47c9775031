"""What a file of counterfactuals must hold, whoever wrote it: sizes that agree, images, whole numbers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from counterfoil.core.errors import UserError

IMAGES = ("factual", "counterfactual", "clean", "reference")
LOGITS = ("factual_logits", "counterfactual_logits")
COSTS = ("steps", "seconds", "classifier_calls", "peak_memory_mb")
STRIP = ("images", "requested", "logits", "scale.high", "scale.low", "scale.temperature", "scale.edges")
KNOWN = (*IMAGES, *LOGITS, *COSTS, "target", "query", "failed", *(f"strip.{name}" for name in STRIP))
ROUNDING = 1e-5
"""How far outside of [0, 1] interpolation in float32 may leave a pixel that was at its end."""
_SCALED = "expected floats in [0, 1]; divide 8-bit images by 255, or map [-1, 1] by (x + 1) / 2"


def checked(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The same tensors, targets and queries as int64 and images with a channel, once all of them make sense.

    Args:
        tensors: by the name of their field in `Counterfactuals`; `strip.`, `changes.` and `extra.` stand
            before those of a table.
        where: the file, for the error.

    Raises:
        UserError: names what makes no sense: a name that is not known, images outside [0, 1], targets that
            are no classes, NaN, or rows that do not agree.
    """
    read = {name: _read(name, value, where) for name, value in tensors.items()}
    _check_sizes(read, where)
    for name, value in read.items():
        if wrong := _wrong(name, value):
            raise UserError(f"{where}: {name} {wrong}")
    _check_classes(read, where)
    return read


def into_range(x: Tensor) -> Tensor:
    """Images that rounding has left outside of [0, 1] by at most 1e-5, brought back; others as they are."""
    if not x.is_floating_point() or not x.numel():
        return x
    low, high = float(x.min()), float(x.max())
    near = low >= -ROUNDING and high <= 1 + ROUNDING
    return x.clamp(0, 1) if near and (low < 0 or high > 1) else x


def check_queries(query: Tensor, known: int, where: str) -> None:
    """Refuse a query (B,) that is none of those known; a number far off would cost as much memory."""
    if len(query) and int(query.max()) >= max(known, len(query)):
        raise UserError(
            f"{where}: query {int(query.max())} is none of {max(known, len(query))}; "
            "number the queries from 0, or leave `query` out where each row is one of its own"
        )


def _read(name: str, value: Tensor, where: str) -> Tensor:
    if name not in KNOWN and not name.startswith(("changes.", "extra.")):
        raise UserError(f"{where} holds {name}, which is no part of counterfactuals; write the file anew")
    if name in ("target", "query"):
        return _whole(name, value, where)
    if name not in IMAGES:
        return value
    images = into_range(value)
    return images[:, None] if value.ndim == 3 else images


def _whole(name: str, value: Tensor, where: str) -> Tensor:
    flat = value.flatten() if value.ndim == 2 and 1 in value.shape else value
    held = flat.dtype != torch.bool and not flat.is_complex() and bool((flat == flat.round()).all())
    if not held or bool((flat.abs() > 2**62).any()) or (name == "query" and bool((flat < 0).any())):
        raise UserError(
            f"{where}: {name} holds {value.dtype} that are no indices, expected whole numbers from 0"
        )
    return flat.long()


def _check_sizes(read: Mapping[str, Tensor], where: str) -> None:
    factual = read["factual"]
    if not factual.numel():
        raise UserError(f"{where}: factual is empty, expected at least one image")
    if factual.ndim != 4:
        raise UserError(f"{where}: factual has shape {tuple(factual.shape)}, expected (rows, C, H, W)")
    rows, shapes = len(factual), {name: tuple(value.shape) for name, value in read.items()}
    wanted: dict[str, tuple[int, ...]] = dict.fromkeys(IMAGES, shapes["factual"])
    wanted |= dict.fromkeys((*COSTS, "target", "query", "failed"), (rows,))
    wanted |= {name: (rows, shape[-1]) for name, shape in shapes.items() if name in LOGITS and shape}
    if len({shapes[name][-1:] for name in LOGITS if name in shapes}) > 1:
        wanted["counterfactual_logits"] = shapes["factual_logits"]
    wanted |= {name: (rows,) for name in shapes if name.startswith("changes.")}
    wanted |= {name: (rows, *shape[1:]) for name, shape in shapes.items() if name.startswith("extra.")}
    wanted |= _strip_sizes(shapes, rows)
    for name, shape in shapes.items():
        if shape != wanted.get(name, shape):
            raise UserError(f"{where}: shapes differ: {name} {shape}, expected {wanted[name]}")


def _strip_sizes(shapes: Mapping[str, tuple[int, ...]], rows: int) -> dict[str, tuple[int, ...]]:
    """What the parts of a strip must measure, by its images."""
    if not any(name.startswith("strip.") for name in shapes):
        return {}
    images = shapes.get("strip.images", ())
    frames = images[1] if len(images) > 1 else 0
    classes = shapes.get("factual_logits", (0, 0))[-1]
    wanted = {"images": (rows, frames, *shapes["factual"][1:]), "requested": (rows, frames)}
    wanted |= {"logits": (rows, frames, classes), "scale.edges": (rows, frames - 1)}
    wanted |= dict.fromkeys(("scale.high", "scale.low", "scale.temperature"), (rows,))
    return {f"strip.{name}": shape for name, shape in wanted.items()}


def _wrong(name: str, value: Tensor) -> str:
    """What is wrong with the values of a field, and what was expected; "" where nothing is."""
    if name == "strip.images" and value.dtype == torch.uint8:
        return ""
    if name in IMAGES or name == "strip.images":
        low, high = (float(value.min()), float(value.max())) if value.numel() else (0.0, 0.0)
        fine = value.is_floating_point() and low >= 0 and high <= 1
        return "" if fine else f"holds {value.dtype} in [{low:g}, {high:g}], {_SCALED}"
    if name == "failed" and value.dtype != torch.bool:
        return f"holds {value.dtype}, expected true or false"
    if name in COSTS and (value.dtype == torch.bool or bool((value < 0).any() | value.isinf().any())):
        return "is negative or infinite, expected 0 or more, NaN where unknown"
    if name == "strip.requested" and bool(((value < 0) | (value > 1)).any()):
        return "leaves [0, 1], expected probabilities, NaN where nothing was searched"
    if name in (*LOGITS, "strip.logits") or name.startswith("changes."):
        fine = value.is_floating_point() and bool(value.isfinite().all())
        return "" if fine else f"holds {value.dtype} that are not finite, expected finite floats"
    return ""


def _check_classes(read: Mapping[str, Tensor], where: str) -> None:
    target, logits = read["target"], read.get("factual_logits")
    if logits is None:
        return
    low, high = int(target.min()), int(target.max())
    if low < 0 or high >= logits.shape[-1]:
        raise UserError(f"{where}: targets lie in {low}..{high}, expected 0..{logits.shape[-1] - 1}")
