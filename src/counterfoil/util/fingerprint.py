"""Fingerprints of frozen classifiers: the same model, the same number."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn


def fingerprint(model: nn.Module) -> Tensor:
    """A model's identity: eight bytes of the SHA-256 over its weights and its decision, int64 ().

    Weights are read as float32 on the CPU, so that a copy on another device or in float64 has the same
    fingerprint. Names of weights are not part of it: a wrapped network and its export differ only where their
    weights do. 0 is never returned.
    """
    seen = hashlib.sha256(_decision(getattr(model, "decision", None)).encode())
    for value in (*model.parameters(), *model.buffers()):
        plain = value.detach().cpu().float() if value.is_floating_point() else value.detach().cpu()
        seen.update(str(tuple(plain.shape)).encode())
        seen.update(plain.contiguous().numpy().tobytes())
    number = int.from_bytes(seen.digest()[:8], "big", signed=True)
    return torch.tensor(number or 1, dtype=torch.int64)


def _decision(decision: Any) -> str:
    if decision is None or type(decision).__name__ == "Classes":
        return ""
    plain = {
        key: value for key, value in vars(decision).items() if isinstance(value, str | int | float | None)
    }
    return json.dumps([type(decision).__name__, plain], sort_keys=True)
