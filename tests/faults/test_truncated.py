"""Weights cut off at any byte are refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from counterfoil.util.checkpoint import read_state
from tests.faults.conftest import Fault
from tests.faults.fault import share


@pytest.mark.parametrize("kept", share([0, 1, 7, 8, 9, 40, 100, 150], quick=3))
def test_truncated_weights(kept: int, fault: Fault, tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    save_file({"weight": torch.ones(30)}, str(file))
    whole = file.read_bytes()
    file.write_bytes(whole[: min(kept, len(whole) - 1)])
    fault("corruption", lambda: read_state(file), None)
