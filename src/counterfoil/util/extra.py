"""Packages that are not always there: imported where they are needed, or a line says what to install."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from counterfoil.core.errors import UserError, first_line


def optional(package: str, what: str, install: str) -> Any:
    """A package, imported now.

    Args:
        package: its name.
        what: the option that needs it, for messages.
        install: what pip installs.

    Raises:
        UserError: it is missing, or broken, as by a torchvision that was built for another torch.
    """
    try:
        return import_module(package)
    except ImportError as error:
        found = f"is missing ({first_line(error)})"
    except Exception as error:  # a library of another torch build fails with whatever it likes
        found = f"cannot be imported ({first_line(error)})"
    raise UserError(f"{what} needs the package {package}, which {found}; pip install '{install}'")
