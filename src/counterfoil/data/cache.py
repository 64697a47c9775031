"""Where decoded and drawn images are kept between runs, and how they get there."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress


def cache_root(option: str | Path | None) -> Path:
    """The cache folder: the option, else COUNTERFOIL_CACHE, else ~/.cache/counterfoil."""
    return Path(option or os.environ.get("COUNTERFOIL_CACHE") or "~/.cache/counterfoil").expanduser()


def digest(recipe: Any) -> str:
    """Twelve hex digits that stand for a JSON-like recipe."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()[:12]


def progress() -> Progress:
    """A progress bar with a count and the time left, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))
