"""The programs as they are installed: elsewhere, without a checkout, with configs of another package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from counterfoil.util.cli import expand_all

ROOT = Path(__file__).parents[2]
METHOD = """# @package explainer.closest
_target_: mine.Closest
confidence: ${confidence}
"""
PLUGIN = """
from hydra.plugins.search_path_plugin import SearchPathPlugin

class Mine(SearchPathPlugin):
    def manipulate_search_path(self, search_path):
        search_path.append("mine", "pkg://mine.conf")
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages as a wheel leaves it, and a package beside with a method and Hydra's plugin."""
    ours = tmp_path / "site" / "counterfoil"
    ours.parent.mkdir()
    shutil.copytree(
        ROOT / "src" / "counterfoil", ours, ignore=shutil.ignore_patterns("assets", "__py*"), symlinks=True
    )
    shutil.copytree(ROOT / "conf", ours / "conf")
    yaml = ours.parent / "mine" / "conf" / "explainer" / "closest.yaml"
    yaml.parent.mkdir(parents=True)
    yaml.write_text(METHOD)
    (ours.parent / "mine" / "__init__.py").write_text(
        "from counterfoil import Nearest\n\nclass Closest(Nearest):\n    pass\n"
    )
    (ours.parent / "hydra_plugins").mkdir()
    (ours.parent / "hydra_plugins" / "mine.py").write_text(PLUGIN)
    (tmp_path / "elsewhere").mkdir()
    return ours.parent


def process(site: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, *words], env=given, cwd=site.parent / "elsewhere", capture_output=True, text=True
    )


def test_installed_with_a_method_of_another_package(site: Path) -> None:
    done = process(site, "-m", "counterfoil", "evaluate", "explainer=all", "n=7", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "  closest:\n    _target_: mine.Closest" in done.stdout
    assert "  revise:\n" in done.stdout
    done = process(site, "-m", "counterfoil", "evaluate", "explainer=[closet]")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: explainer=closet does not exist; choose one or several of:")
    assert "did you mean closest?" in line


def test_the_shell_completes(site: Path) -> None:
    """Hydra completes the first word of a command; where that is `python -m`, of the installed one."""
    done = process(site, "-m", "counterfoil", "evaluate", "-sc", "install=bash")
    assert done.stdout.rstrip().endswith("-F hydra_bash_completion counterfoil-evaluate"), done.stderr
    installed = "from counterfoil.run.command import evaluate; evaluate()"
    line = {"COMP_LINE": "counterfoil-evaluate explainer=clo", "COMP_POINT": "99"}
    done = process(site, "-c", installed, "-sc", "query=bash", **line)
    assert done.stdout.split() == ["explainer=closest"], done.stderr


@pytest.mark.parametrize("program", ["train", "evaluate"])
def test_the_shell_completes_scripts_that_name_hydra(program: str) -> None:
    assert "@hydra.main" in (ROOT / f"{program}.py").read_text(), "Hydra's function looks for it in the file"


def test_a_module_needs_a_program(site: Path) -> None:
    done = process(site, "-m", "counterfoil", "explain")
    assert done.returncode == 1
    assert done.stderr.startswith("error: python -m counterfoil explain: expected one of train, evaluate")


def test_all_is_every_yaml_that_hydra_finds(tmp_path: Path) -> None:
    (tmp_path / "explainer").mkdir()
    (tmp_path / "explainer" / "mine.yaml").touch()
    given = ["--config-dir", str(tmp_path), "explainer=all", "n=3"]
    (chosen,) = [part for part in expand_all(given, ROOT / "conf") if part.startswith("explainer=[")]
    assert "mine" in chosen
    assert "composed" not in chosen
