"""The templates of pages."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from counterfoil.report.page import page_template


def test_a_template_misses_no_variable() -> None:
    with pytest.raises(UndefinedError):
        page_template("study.html").render()
