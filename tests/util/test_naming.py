"""What may be the name of a file."""

from __future__ import annotations

import pytest

from counterfoil.core.errors import UserError
from counterfoil.util.naming import file_name


@pytest.mark.parametrize("name", ["cnn", "my model 2", "resnet-18", "a.b", "Häuser", "模型", "x" * 100])
def test_names(name: str) -> None:
    assert file_name(name, "classifier.name") == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", "a\\b", "~", "a\0", "a\n", " a", "a.", "x" * 101]
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UserError, match=r"classifier\.name=.* cannot be the name of a file") as caught:
        file_name(name, "classifier.name")
    assert "\n" not in str(caught.value)
