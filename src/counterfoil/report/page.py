"""The templates of pages, which lie beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from counterfoil.report import format as fmt


def page_template(name: str) -> Any:
    """The jinja2 template of a file in this folder: escapes what it is given, and misses no variable."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["probability"] = fmt.probability
    return environment.get_template(name)
