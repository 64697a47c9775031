"""When a query is finished: a truth table."""

from __future__ import annotations

import pytest
import torch

from counterfoil.search import Stop

FOUND = torch.tensor([False, True, True, True])
IDLE = torch.tensor([9, 0, 2, 3])


@pytest.mark.parametrize(
    ("patience", "finished"),
    [
        (0, [False, True, True, True]),
        (1, [False, False, True, True]),
        (3, [False, False, False, True]),
        (None, [False] * 4),
    ],
)
def test_finished(patience: int | None, finished: list[bool]) -> None:
    assert Stop(patience)(FOUND, IDLE).tolist() == finished
