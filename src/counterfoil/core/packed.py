"""One-hot rows as numbers in a file: a text of 20 tokens out of 4,000 is 80,000 floats, or 20 numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from torch import Tensor

PACKED = "one_hot"
"""Key of a file's metadata that tells which tensors are packed, with length and type of their rows."""
_LEAST = 3
"""Dimensions of a tensor whose last one may hold one-hot rows."""
_TYPES = {str(dtype): dtype for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}


def pack(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The same tensors, those of one-hot rows (..., V) as int32 (...); and what `unpack` needs to know."""
    found = dict(tensors)
    rows: dict[str, tuple[int, str]] = {}
    for name, value in tensors.items():
        if _one_hot(value):
            found[name] = value.argmax(-1).to(torch.int32)
            rows[name] = value.shape[-1], str(value.dtype)
    return found, {PACKED: json.dumps(rows)} if rows else {}


def unpack(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, Tensor]:
    """What `pack` was given, bitwise."""
    found = dict(tensors)
    for name, (length, dtype) in json.loads(metadata.get(PACKED, "{}")).items():
        ids = found[name].long()[..., None]
        found[name] = torch.zeros(*ids.shape[:-1], length, dtype=_TYPES[dtype]).scatter_(-1, ids, 1.0)
    return found


def _one_hot(value: Tensor) -> bool:
    if value.ndim < _LEAST or not value.is_floating_point() or not value.numel() or value.shape[-1] < 2:
        return False
    return bool((value.amax(-1) == 1).all()) and bool((value.count_nonzero(-1) == 1).all())
