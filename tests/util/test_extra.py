"""A package that is missing, and one that breaks while it is imported, are told in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.util.extra import optional


def test_a_package_that_is_there() -> None:
    assert optional("json", "an option", "counterfoil[json]").loads("1") == 1


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (None, "is missing (No module named 'not_there')"),
        ("import neither_there", "is missing (No module named 'neither_there')"),
        ("raise RuntimeError('operator torchvision::nms does not exist\\nmore')",
         "cannot be imported (operator torchvision::nms does not exist)"),
    ],
)  # fmt: skip
def test_one_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str | None, told: str
) -> None:
    if code:
        (tmp_path / "not_there.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError) as caught:
        optional("not_there", "classifier=timm", "counterfoil[timm]")
    assert str(caught.value) == (
        f"classifier=timm needs the package not_there, which {told}; pip install 'counterfoil[timm]'"
    )
