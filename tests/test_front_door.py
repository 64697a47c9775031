"""What `from counterfoil import ...` gives, and what it does not load."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import counterfoil
from counterfoil.explainer.base import Explainer

ROOT = Path(__file__).parents[1]
HEAVY = ("pytorch_lightning", "torchmetrics", "hydra", "omegaconf", "counterfoil.data")
EXPLAINERS = sorted(path.stem for path in (ROOT / "src" / "counterfoil" / "explainer").glob("[a-z]*.py"))


def fresh(code: str) -> str:
    """What code prints in a new interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_methods_load_neither_lightning_nor_hydra_nor_data() -> None:
    """All methods and parts at once, but what scores and what reads stores: torchmetrics, Hydra."""
    heavy = ("counterfoil.metric", "counterfoil.report", "counterfoil.run")
    names = [name for name, place in counterfoil._PLACES.items() if not place.startswith(heavy)]
    loaded = fresh(f"import sys; from counterfoil import {', '.join(names)}; print(*sys.modules)").split()
    assert not [name for name in loaded if name in HEAVY or name.startswith("counterfoil.data.")]
    assert "counterfoil.explainer.wachter" in loaded


def test_the_door_itself_loads_nothing() -> None:
    assert fresh("import sys, counterfoil; print('torch' in sys.modules, 'Wachter' in dir(counterfoil))") == (
        "False True\n"
    )


@pytest.mark.parametrize("stem", EXPLAINERS)
def test_every_method_is_at_the_door(stem: str) -> None:
    """Whether or not the block for type checkers names it."""
    module = import_module(f"counterfoil.explainer.{stem}")
    for name, value in vars(module).items():
        own = isinstance(value, type) and value.__module__ == module.__name__ and name[0].isalpha()
        if own and issubclass(value, Explainer):
            assert getattr(counterfoil, name) is value


def test_every_name_leads_to_what_it_names() -> None:
    for name in counterfoil.__all__:
        assert getattr(counterfoil, name).__name__ == name
        assert name in dir(counterfoil)
    assert counterfoil.L1 is import_module("counterfoil.search.term").L1


def test_an_unknown_name_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="Wachtr"):
        from counterfoil import Wachtr  # noqa: F401
    with pytest.raises(AttributeError, match="Wachtr"):
        counterfoil.Wachtr  # noqa: B018


def test_the_block_for_type_checkers_is_sorted_and_alone() -> None:
    tree = ast.parse(Path(counterfoil.__file__).read_text())
    (guarded,) = [part for part in tree.body if isinstance(part, ast.If)]
    names = [alias.name for part in guarded.body for alias in part.names]  # type: ignore[attr-defined]
    assert len(names) == len(set(names))
