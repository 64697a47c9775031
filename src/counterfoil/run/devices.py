"""The processes and GPUs that the options of a trainer ask for, and whether this machine has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from counterfoil.core.errors import UserError

ALL = ("auto", "-1", "None")
"""Words for all GPUs of a machine."""


def devices_in(trainer: Mapping[str, Any]) -> int:
    """How many processes the options of a trainer ask for.

    Raises:
        UserError: no number of them.
    """
    given = trainer.get("devices")
    if isinstance(given, list | tuple):
        number = len(given)
    elif str(given) in ALL:
        number = 1 if trainer.get("accelerator") in ("cpu", "mps") else max(1, torch.cuda.device_count())
    else:
        parts = [part.strip() for part in str(given).split(",") if part.strip()]
        number = len(parts) if "," in str(given) else int(parts[0]) if str(given).strip().isdecimal() else 0
    if number < 1 or isinstance(given, bool):
        raise UserError(
            f"trainer.devices={given}: expected how many processes, 1 or more, a list of GPUs, or auto"
        )
    return number


def refuse_absent(trainer: Mapping[str, Any]) -> None:
    """Refuse devices that this machine does not have, and processes that are not started from here.

    Raises:
        UserError: a GPU, or a number of them, that is not there; several machines; a strategy that is none
            of DDP.
    """
    kind, number, found = trainer.get("accelerator"), devices_in(trainer), torch.cuda.device_count()
    if kind in ("gpu", "cuda") and not found and not (kind == "gpu" and torch.backends.mps.is_available()):
        raise UserError(
            f"trainer.accelerator={kind}: torch finds no GPU on this machine; set trainer=cpu"
            + (" or trainer=ddp_sim" if number > 1 else "")
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UserError("trainer.accelerator=mps: this machine has no GPU of Apple's; set trainer=cpu")
    if kind in ("gpu", "cuda", "auto", None) and 0 < found < number:
        raise UserError(
            f"trainer.devices={number}: this machine has {found} GPU(s); set trainer.devices={found}"
        )
    if kind == "mps" and number > 1:
        raise UserError(f"trainer.devices={number}: there is one GPU of Apple's; set trainer.devices=1")
    if str(trainer.get("num_nodes") or 1) != "1":
        raise UserError(
            f"trainer.num_nodes={trainer['num_nodes']}: a training has one machine; set trainer.num_nodes=1 "
            "and trainer.devices= to its GPUs"
        )
    strategy = trainer.get("strategy") or "auto"
    if number > 1 and not (isinstance(strategy, str) and strategy.startswith(("auto", "ddp"))):
        raise UserError(
            f"trainer.strategy={strategy}: several processes train by DDP alone; leave trainer.strategy out"
        )
