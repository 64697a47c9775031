"""A point of a search with the classifier's outputs there."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch

from counterfoil.search import Candidate


def test_a_candidate_is_fixed_and_reads_no_features_by_default() -> None:
    candidate = Candidate({"x": torch.zeros(2, 3)}, torch.zeros(2, 1, 4, 4), torch.zeros(2, 3), 0.5)
    assert candidate.features == {}
    with pytest.raises(FrozenInstanceError):
        candidate.progress = 1.0  # type: ignore[misc]
