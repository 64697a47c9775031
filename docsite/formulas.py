"""An extension of griffe, which reads the docstrings for mkdocstrings."""

from __future__ import annotations

from typing import Any

import griffe

from docsite.docstring import as_code


class Formulas(griffe.Extension):
    """Shows formulas as code."""

    def on_object(self, *, obj: Any, **kwargs: Any) -> None:
        """Called for each module, class and function that is documented."""
        if obj.docstring and not obj.is_alias:
            obj.docstring.value = as_code(obj.docstring.value)
