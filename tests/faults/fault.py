"""One injected fault and what came of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from counterfoil.core.errors import UserError

WHOLE = os.environ.get("FAULTS") == "whole"
"""Whether all faults are injected (`make faults`), or the quick part."""
OUTCOMES = ("survived", "refused in one line", "wrong accepted", "traceback")


def outcome_of(act: Callable[[], Any], right: Any) -> tuple[str, str]:
    """What came of an act under a fault, as one of `OUTCOMES`, and the detail to show.

    Args:
        act: works on what the fault left; its value is compared with `right`.
        right: what an undisturbed act gives.
    """
    try:
        value = act()
    except UserError as error:
        line = str(error)
        return (OUTCOMES[1] if "\n" not in line.strip() else OUTCOMES[3]), line
    except Exception as error:
        return OUTCOMES[3], f"{type(error).__name__}: {error}"
    return (OUTCOMES[0], "") if value == right else (OUTCOMES[2], f"{value!r}, expected {right!r}")


def share(several: list[Any], quick: int) -> list[Any]:
    """All of several faults in the whole run, evenly chosen ones in the quick part."""
    if WHOLE or len(several) <= quick:
        return several
    return [several[i * len(several) // quick] for i in range(quick)]
