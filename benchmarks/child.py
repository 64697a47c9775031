"""An evaluation of its own process: `python benchmarks/child.py FILE OVERRIDES...` is evaluate.py OVERRIDES.

FILE tells after each stage the peak of resident memory so far, and wall and CPU seconds since the start.
"""

from __future__ import annotations

import json
import resource
import runpy
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

STAGES = {"_prepare": "start", "_explain": "search", "score": "metrics", "report": "page"}
"""Functions of counterfoil.run.evaluate, and the stage that each ends."""


def main(file: Path, overrides: list[str]) -> None:
    """Run evaluate.py in this process; the file is written however it ends."""
    import counterfoil.run.evaluate as module

    stages: dict[str, Any] = {}
    for name, stage in STAGES.items():
        setattr(module, name, noted(getattr(module, name), stage, stages))
    sys.argv = ["evaluate.py", *overrides]
    try:
        runpy.run_path(str(Path(__file__).resolve().parents[1] / "evaluate.py"), run_name="__main__")
    finally:
        stages["end"] = now()
        file.write_text(json.dumps(stages))


def noted(function: Callable[..., Any], stage: str, stages: dict[str, Any]) -> Callable[..., Any]:
    """The same function; what was reached at its end is noted."""

    @wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        found = function(*args, **options)
        stages[stage] = now()
        return found

    return called


def now() -> dict[str, float]:
    """Peak of this process in MB, wall and CPU seconds since it began."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"mb": peak, "wall": time.monotonic() - BEGUN, "cpu": time.process_time()}


BEGUN = time.monotonic()
if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
