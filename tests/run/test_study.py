"""Studies: a grid of jobs in one command; skipped, failed and joined jobs; every study yaml."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.report.view.base import View
from counterfoil.run.config import RunConfig
from counterfoil.run.study import Join, ended, main, note_ended, public
from counterfoil.util.build import build, plain
from counterfoil.util.command import ARGUMENTS
from counterfoil.util.lock import locked
from tests.bench import fewest

Script = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]
STUDIES = sorted(path.stem for path in (ROOT / "conf" / "study").glob("*.yaml"))
YAML = """# @package _global_
methods: ${switch:${confidence},0.95,null,[wachter]}
run_dir: runs/tiny
study:
  name: tiny
  views:
    methods:
      _target_: counterfoil.report.view.leaderboard.Leaderboard
      where: {confidence: 0.95}
      metrics: [validity, l1]
    confidence:
      _target_: counterfoil.report.view.curve.Curve
      over: confidence
      metrics: [validity]
hydra:
  mode: MULTIRUN
  sweeper: {params: {confidence: "0.6,0.95"}}
"""


@pytest.fixture
def tiny(script: Script, bench: Any, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """tiny("n=3") runs a study of two jobs in an empty folder."""
    (tmp_path / "conf" / "study").mkdir(parents=True)
    (tmp_path / "conf" / "study" / "tiny.yaml").write_text(YAML)
    given = (f"--config-dir={tmp_path / 'conf'}", "study=tiny", "logger=none", *bench.models)

    def run(*overrides: str) -> tuple[int, str, str]:
        return script("evaluate", *given, f"store={bench.store}", *bench.quick, *overrides)

    return run


def test_one_command_runs_joins_and_resumes(tiny: Callable[..., tuple[int, str, str]]) -> None:
    code, out, error = tiny()
    assert code == 0, error
    run = Path("runs/tiny")
    study = json.loads((run / "study.json").read_text())
    table = study["views"]["methods"]["tables"]["methods"]
    assert list(table["rows"]) == ["nearest", "wachter"]
    curve = study["views"]["confidence"]["tables"]["confidence"]
    assert list(curve["rows"]) == ["0.6", "0.95"]
    alone = json.loads((run / "0" / "metrics.json").read_text())
    assert list(alone["methods"]) == ["wachter"]
    assert [job["grid"] for job in study["jobs"]] == [["confidence=0.6"], ["confidence=0.95"]]
    assert len(study["weights"]) >= 2
    assert all(len(value) == 64 for value in study["weights"].values())
    assert "2 of 2 jobs joined" in out
    page = (run / "report.html").read_text()
    assert "<svg" not in page
    assert "data:image/svg+xml" in page
    assert all((run / "tables" / f"methods.{kind}").is_file() for kind in ("md", "tex", "csv"))

    before = {path: path.stat().st_mtime_ns for path in run.glob("*/metrics.json")}
    (run / "1" / "metrics.json").unlink()  # as if it had been killed
    code, out, error = tiny()
    assert code == 0, error
    assert "job 0 is finished, skipped" in out
    assert "job 1 is finished" not in out
    after = {path: path.stat().st_mtime_ns for path in run.glob("*/metrics.json")}
    assert after[run / "0" / "metrics.json"] == before[run / "0" / "metrics.json"]
    again = json.loads((run / "study.json").read_text())
    assert (
        again["views"]["methods"]["tables"]["methods"]["rows"]["wachter"]["l1"]
        == table["rows"]["wachter"]["l1"]
    )

    code, out, error = tiny("metric=[validity,l1,l2]")  # scored again, not searched again
    assert code == 0, error
    assert "l2" in json.loads((run / "0" / "metrics.json").read_text())["methods"]["wachter"]
    code, _, error = tiny("n=11")
    assert code == 1
    assert "holds another evaluation" in error
    code, out, error = tiny("overwrite=true", "metric=[validity,l1,l2]")
    assert code == 0, error
    assert "skipped" not in out, "a finished job is run again where this is asked for"


def test_a_job_waits_for_the_process_that_a_killed_command_left(
    tiny: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, held, waiting = Path("runs/tiny/0").absolute(), threading.Event(), threading.Event()
    place.mkdir(parents=True)
    monkeypatch.setattr("counterfoil.util.lock.log.info", lambda line: waiting.set())

    def hold() -> None:
        with locked(place / ".lock"):
            held.set()
            waiting.wait(60)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(hold)
        held.wait(60)
        code, out, error = tiny()
        waiting.set()
    assert code == 0, error
    assert "2 of 2 jobs joined" in out


def test_a_command_that_only_launches_jobs_warns_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setenv(ARGUMENTS, "[]")  # so that it is put back
    with warnings.catch_warnings():
        Join().on_multirun_start(DictConfig({}))
        warnings.warn("spoilt", CounterfoilWarning, stacklevel=1)
    Join().on_multirun_end(DictConfig({}))
    assert capsys.readouterr().err == "warning: spoilt\n"


def test_a_failed_job_is_counted_and_the_others_are_joined(tiny: Callable[..., tuple[int, str, str]]) -> None:
    code, out, error = tiny("target=ten,2", "confidence=0.95")
    assert code == 1
    assert "error: job 0: " in error
    assert "1 of 2 jobs joined" in out
    study = json.loads(Path("runs/tiny/study.json").read_text())
    assert [bool(job["error"]) for job in study["jobs"]] == [True, False]
    assert "methods" in study["views"]
    with pytest.raises(UserError, match="job 0 failed"):
        main(["publish", "runs/tiny"])


def test_each_job_notes_its_end_in_a_file_of_its_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: note_ended(tmp_path / str(i), [f"seed={i}" * 2000], f"no {i}"), range(40)))
    noted = ended(tmp_path)
    assert {name: note["error"] for name, note in noted.items()} == {str(i): f"no {i}" for i in range(40)}
    (tmp_path / "jobs" / "7.json").write_text('{"overr')
    with pytest.raises(UserError, match=r"7\.json cannot be read .*start the same command again"):
        ended(tmp_path)


def test_a_published_command_names_no_folder_of_this_machine() -> None:
    told = public(
        "python evaluate.py study=mnist data.root=/home/me/mnist store=/x/weights run_dir=/tmp/a seed=0,1"
    )
    assert told == "python evaluate.py study=mnist data.root=FOLDER store=weights seed=0,1"


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_composes_with_its_grid(name: str) -> None:
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        config = hydra.compose("evaluate", [f"study={name}"], return_hydra_config=True)
        assert config.study.name == name
        assert config.run_dir == f"runs/{name}"
        assert config.hydra.mode.name == "MULTIRUN"
        views = plain(config.study.views)
        assert views
        for view, node in views.items():
            assert isinstance(build(node, where=view), View)
        grid = [f"{key}={value}" for key, value in config.hydra.sweeper.params.items()]
        parsed = OverridesParser.create().parse_overrides(grid)
        for job in fewest(BasicSweeper.split_arguments(parsed, None)[0]):
            run = RunConfig.of(hydra.compose("evaluate", [f"study={name}", *job]))
            assert run.explainer
