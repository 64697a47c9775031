"""Where a case happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inputs.case import At


@pytest.fixture
def at(request: pytest.FixtureRequest, tmp_path: Path) -> At:
    """An empty folder, and what the tests of runs have."""
    return At(request, tmp_path)
