"""The processes that a trainer's options ask for, and machines that do not have them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.run.address import departures
from counterfoil.run.devices import devices_in, refuse_absent


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with this many GPUs."""
    return lambda number: monkeypatch.setattr(torch.cuda, "device_count", lambda: number)


@pytest.mark.parametrize(
    ("devices", "number"), [(1, 1), (2, 2), ("2", 2), ([1], 1), ([0, 3], 2), ("0,3", 2), ("1,", 1)]
)
def test_number_of_processes(devices: Any, number: int) -> None:
    assert devices_in({"devices": devices}) == number
    assert departures({"devices": devices}).get("devices", 1) == number


@pytest.mark.parametrize(("accelerator", "number"), [("gpu", 3), ("auto", 3), (None, 3), ("cpu", 1)])
def test_auto_is_all_gpus(gpus: Any, accelerator: str | None, number: int) -> None:
    gpus(3)
    assert devices_in({"devices": "auto", "accelerator": accelerator}) == number
    assert devices_in({"devices": -1, "accelerator": accelerator}) == number


@pytest.mark.parametrize("devices", [0, -2, "many", [], True, 1.5])
def test_what_is_no_number_is_refused(devices: Any) -> None:
    with pytest.raises(UserError, match=r"trainer.devices=.*: expected how many processes"):
        devices_in({"devices": devices})


@pytest.mark.parametrize(
    ("found", "options", "line"),
    [
        (
            0,
            {"accelerator": "gpu", "devices": 1},
            r"accelerator=gpu: torch finds no GPU .* trainer=cpu$",
        ),
        (0, {"accelerator": "gpu", "devices": 2}, "no GPU .* trainer=cpu or trainer=ddp_sim"),
        (0, {"accelerator": "mps", "devices": 1}, "trainer.accelerator=mps: .* set trainer=cpu"),
        (
            1,
            {"accelerator": "gpu", "devices": 4},
            r"devices=4: .* has 1 GPU\(s\); set trainer.devices=1",
        ),
        (0, {"devices": 1, "num_nodes": 2}, r"trainer.num_nodes=2: .* set trainer.num_nodes=1"),
        (0, {"devices": 2, "strategy": "fsdp"}, r"trainer.strategy=fsdp: .* leave trainer.strategy out"),
    ],
)
def test_absent_devices_are_refused(gpus: Any, found: int, options: dict[str, Any], line: str) -> None:
    gpus(found)
    with pytest.raises(UserError, match=line):
        refuse_absent(options)


def test_what_is_there_is_taken(gpus: Any) -> None:
    gpus(0)
    refuse_absent({"accelerator": "cpu", "devices": 2, "strategy": "ddp"})
    refuse_absent({"accelerator": "auto", "devices": 2})
    gpus(2)
    refuse_absent({"accelerator": "gpu", "devices": 2})


def test_how_processes_are_started_is_no_part_of_an_address() -> None:
    assert departures({"devices": 2, "strategy": "ddp_spawn"}) == {"devices": 2}
    assert departures({"devices": 1, "strategy": "ddp"}) == {}
