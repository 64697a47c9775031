"""One seed, the same draws."""

from __future__ import annotations

import random

import numpy as np
import torch

from counterfoil.util.seed import seed_all


def draws() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002


def test_one_seed_the_same_draws_and_words_tell_models_apart() -> None:
    state = torch.get_rng_state()
    first = (seed_all(3, "classifier", "cnn"), draws())
    assert (seed_all(3, "classifier", "cnn"), draws()) == first
    for other in ((4, "classifier", "cnn"), (3, "classifier", "resnet"), (3,)):
        assert (seed_all(*other), draws())[1] != first[1]
    torch.set_rng_state(state)
