"""Notebooks become Markdown with their outputs; the tutorials are all named."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from docsite import notebooks


def cell(source: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "source": [source], "outputs": list(outputs)}


def test_outputs_are_shown_as_they_are() -> None:
    picture = {"output_type": "display_data", "data": {"image/png": base64.b64encode(b"png").decode()}}
    table = {"output_type": "execute_result", "data": {"text/html": ["<b>1</b>"], "text/plain": ["1"]}}
    stream = [
        {"output_type": "stream", "name": "stdout", "text": ["\x1b[1mtold\x1b[0m\n"]},
        {"output_type": "stream", "name": "stderr", "text": ["a warning"]},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        cell("%%bash\ncounterfoil-train", *stream),
        cell("draw()", picture, table),
    ]
    text, files = notebooks.rendered({"cells": cells}, "mine")
    assert files == {"mine-0.png": b"png"}
    assert text == (
        "# Title\n\n```bash\ncounterfoil-train\n```\n\n```text\ntold\n```\n\n```python\ndraw()\n```\n\n"
        '![What the cell above draws](mine-0.png)\n\n<div class="output" markdown="0"><b>1</b></div>\n'
    )


def test_every_tutorial_is_shown() -> None:
    assert sorted(notebooks.ORDER) == sorted(path.stem for path in notebooks.SOURCE.glob("*.py"))


def test_one_that_was_not_run_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(notebooks, "BUILT", tmp_path)
    with pytest.raises(FileNotFoundError, match="make tutorials"):
        next(notebooks.pages())
