"""One seed, the same results."""

from __future__ import annotations

import random
import zlib

import numpy as np
import torch


def seed_all(seed: int, *words: str) -> int:
    """Seed every global generator from a number and words; returns the seed used.

    The words keep two models of one run from sharing a stream.
    """
    value = zlib.crc32(" ".join((str(seed), *words)).encode())
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002 (libraries that draw from the global generator)
    torch.manual_seed(value)
    return value
