"""Images as a person has them at hand, as the batch that a method explains."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError, first_line
from counterfoil.core.stored import into_range

_CHANNELS = (1, 3)
_SMALLEST = 4
"""Sides up to this may as well count channels."""


def as_inputs(x: Any, classifier: nn.Module) -> Tensor:
    """A batch (B, C, H, W) of floats in [0, 1], of a tensor or array, or of one image (C, H, W).

    Arrays go to the classifier's device and type; tensors stay as they are.

    Raises:
        UserError: for anything else; the line tells what was found, and the call that works.
    """
    batch = _from_array(x, classifier) if isinstance(x, np.ndarray) else x
    batch = batch.detach() if isinstance(batch, Tensor) else batch
    if not isinstance(batch, Tensor):
        raise UserError(
            f"inputs: expected a tensor or array (B, C, H, W), found {type(x).__name__}; {_made_of(x)}"
        )
    if not batch.is_floating_point():
        raise UserError(
            f"inputs: expected floats in [0, 1], found {batch.dtype}; "
            "x / 255 for 8-bit images, x.float() for those of 0 and 1"
        )
    _check_shape(tuple(batch.shape))
    batch = into_range(batch)
    _check_values(batch)
    return batch if batch.ndim == 4 else batch[None]


def as_mask(mask: Any, x: Tensor) -> Tensor:
    """A mask (B, 1, H, W) on the device of x (B, C, H, W), of a bool tensor or array that broadcasts to it.

    Raises:
        UserError: a mask of another type or shape.
    """
    given = torch.from_numpy(mask.copy()) if isinstance(mask, np.ndarray) and mask.dtype == bool else mask
    if not isinstance(given, Tensor) or given.dtype != torch.bool:
        found = getattr(mask, "dtype", type(mask).__name__)
        raise UserError(
            f"mask: expected bool, True where the input must not change, found {found}; "
            "mask > 0.5 makes it of numbers in [0, 1]"
        )
    try:
        return given.to(x.device).expand(len(x), 1, *x.shape[-2:])
    except RuntimeError as error:
        raise UserError(
            f"mask: expected a shape that fits {(len(x), 1, *x.shape[-2:])}, found {tuple(given.shape)}"
        ) from error


def first_logits(classifier: nn.Module, x: Tensor) -> Tensor:
    """The classifier's logits (B, K) on inputs that it has not seen yet, without gradient.

    Raises:
        UserError: the classifier cannot read them, or its outputs are no finite logits of K >= 2 classes.
    """
    try:
        with torch.no_grad():
            logits: Tensor = classifier(x)
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise UserError(
            f"inputs: the classifier cannot read {tuple(x.shape)} of {x.dtype} on {x.device} "
            f"({first_line(error)}); {_fitting(classifier, x)}"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] < 2:
        found = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise UserError(
            f"classifier: expected logits (B, K) with K >= 2, found {found}; wrap the network: "
            "counterfoil.Classifier(net), which reads outputs of other forms, with decision= and output="
        )
    if not bool(torch.isfinite(logits).all()):
        raise UserError(
            "classifier: its logits hold NaN or infinite values; check its weights and normalisation"
        )
    return logits


def _from_array(x: np.ndarray, classifier: nn.Module) -> Tensor:
    if x.dtype.kind not in "fiub":
        raise UserError(
            f"inputs: expected an array of floats in [0, 1], found one of {x.dtype}; np.stack(x) joins a list"
        )
    batch = torch.from_numpy(np.array(x, dtype=x.dtype.newbyteorder("="), order="C"))
    return batch.to(_reference(classifier)) if batch.is_floating_point() else batch


def _reference(classifier: nn.Module) -> Tensor:
    """A tensor of the type and on the device that the classifier works with."""
    return next((p for p in classifier.parameters() if p.is_floating_point()), torch.zeros(1))


def _made_of(x: Any) -> str:
    if hasattr(x, "convert") and hasattr(x, "getbands"):
        return 'np.asarray(x.convert("L"), "float32")[None] / 255 of a grey picture, ' + (
            'np.moveaxis(np.asarray(x.convert("RGB"), "float32"), -1, 0) / 255 of one in colour'
        )
    if isinstance(x, list | tuple):
        return "torch.stack(x) of tensors, np.stack(x) of arrays"
    return "np.asarray(x) makes an array of it"


def _check_shape(shape: tuple[int, ...]) -> None:
    """Only what can be nothing else is taken: (B, C, H, W), and (C, H, W) with C 1 or 3."""
    if len(shape) in (3, 4) and shape[-1] in _CHANNELS and min(shape[-3:-1]) > _SMALLEST:
        order = "0, 3, 1, 2" if len(shape) == 4 else "2, 0, 1"
        raise UserError(
            f"inputs: expected channels before height and width, found shape {shape}; "
            f"x.permute({order}) of a tensor, x.transpose({order}) of an array"
        )
    if len(shape) == 3 and shape[0] not in _CHANNELS:
        raise UserError(
            f"inputs: expected (B, C, H, W), or one image (C, H, W) with 1 or 3 channels, found shape "
            f"{shape}; x[:, None] for a batch of grey images, x[None] for one image of {shape[0]} channels"
        )
    if len(shape) == 2:
        raise UserError(f"inputs: expected (B, C, H, W), found shape {shape}; x[None] for one grey image")
    if len(shape) not in (3, 4):
        raise UserError(
            f"inputs: expected (B, C, H, W), or one image (C, H, W), found shape {shape}; "
            "x.reshape(B, C, H, W)"
        )


def _check_values(x: Tensor) -> None:
    if not x.numel():
        return
    low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError("inputs: found NaN or infinite values, expected numbers in [0, 1]")
    if low < 0 or high > 1:
        fix = "divide 8-bit images by 255: x / 255" if low >= 0 else "(x + 1) / 2 maps [-1, 1]"
        raise UserError(f"inputs: expected values in [0, 1], found [{low:.3g}, {high:.3g}]; {fix}")


def _fitting(classifier: nn.Module, x: Tensor) -> str:
    like = _reference(classifier)
    if like.device != x.device:
        return f'x.to("{like.device}"), where the classifier is'
    if like.dtype != x.dtype:
        return f"x.to({like.dtype}), the classifier's type"
    if tuple(x.shape[:2]) == (1, 3):
        return "x[:, None] for a batch of three grey images"
    return "give the channels and the size that it was trained on"
