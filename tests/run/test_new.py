"""What counterfoil-new writes is sound as it stands: its test passes, and a run finds it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from counterfoil.core.errors import UserError
from counterfoil.run.config import RunConfig
from counterfoil.run.new import FOLDER, KINDS, main, new
from counterfoil.util.command import configs


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_keeps_its_promises(kind: str, empty: Path, capsys: Any) -> None:
    name = f"begun_{kind}"
    main([kind, name])
    group = KINDS[kind][0]
    *files, told = capsys.readouterr().out.splitlines()
    assert files == [f"{name}.py", f"{FOLDER}/{group}/{name}.yaml", f"test_{name}.py"]
    assert told.startswith(
        f"try it: python -m pytest test_{name}.py && python evaluate.py --config-dir my_conf "
    )
    chosen = f"{group}=[{name}]"
    assert chosen.strip("]").split("[")[1] in told
    try:
        getattr(importlib.import_module(f"test_{name}"), f"test_{name}_keeps_its_promises")()
    finally:
        for module in (name, f"test_{name}"):
            sys.modules.pop(module, None)
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(configs())):
        config = compose("evaluate", overrides=[chosen, f"hydra.searchpath=[file://{empty / FOLDER}]"])
    assert name in getattr(RunConfig.of(config), group)


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("explainer", "mine", "explainer: expected one of method, metric"),
        ("method", "MyMethod", "take small letters and _, such as my_method"),
        ("method", "my-method", "take small letters and _"),
        ("method", "json", "cannot be the name"),
        ("method", "revise", "explainer=revise exists in counterfoil"),
        ("metric", "validity", "metric=validity exists in counterfoil"),
        ("method", "there", "test_there.py would be written over"),
    ],
)
def test_what_cannot_be_written_is_refused(kind: str, name: str, told: str, empty: Path) -> None:
    (empty / "test_there.py").touch()
    with pytest.raises(UserError) as caught:
        new(kind, name, empty)
    assert told in str(caught.value)
    assert [path.name for path in empty.iterdir()] == ["test_there.py"]


@pytest.mark.parametrize("words", [[], ["method"], ["method", "a", "b"], ["method", "revise"]])
def test_a_wrong_command_ends_in_one_line(words: list[str], empty: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert str(ended.value).startswith("error: ")
    assert "\n" not in str(ended.value)
