"""Whole evaluations in processes of their own: what is made of their figures."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from counterfoil.core.errors import UserError
from counterfoil.report.published import Published

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of benchmarks/ by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_a_process_that_fails_is_told_with_its_last_line(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    alone = load("processes").alone
    wall, cpu, peak = alone([sys.executable, "-c", "print('done')"], tmp_path / "log")
    assert cpu > 0
    assert wall > 0
    assert peak > 1
    assert (tmp_path / "log").read_text() == "done\n"
    with pytest.raises(UserError, match="ended with 3: no such option"):
        alone([sys.executable, "-c", "import sys; print('no such option'); sys.exit(3)"], tmp_path / "log")


def test_figures_are_compared_one_by_one(load: Callable[[str], ModuleType]) -> None:
    difference = load("processes").difference
    assert difference({"a": 1.0, "b": None, "c": 3}, {"a": 1.5, "b": None, "c": 3}) == 0.5
    for other in ({"a": 1.0}, {"a": None, "b": 2.0}):
        with pytest.raises(UserError, match="do not hold the same figures"):
            difference({"a": 1.0, "b": 2.0}, other)


def test_the_exponent_leaves_the_start_out(load: Callable[[str], ModuleType]) -> None:
    """5 s of start; 10 times the queries take 10 times as long of wall time, 100 times of CPU time."""
    memory, run = load("cases.memory"), load("processes").Run
    start = {"mb": 1.0, "wall": 5.0, "cpu": 5.0}
    few = run(7.0, 6.0, 1.0, {"start": start, "end": {"mb": 1.0, "wall": 7.0, "cpu": 6.0}})
    many = run(25.0, 105.0, 1.0, {"start": start, "end": {"mb": 1.0, "wall": 25.0, "cpu": 105.0}})
    found = memory.exponents(10, few, 100, many)
    assert found["exponent of wall time"].value == pytest.approx(1.0)
    assert found["exponent of cpu time"].value == pytest.approx(2.0)


def test_ranks_whose_figures_differ_are_refused(load: Callable[[str], ModuleType]) -> None:
    ranks, times = load("cases.ranks"), load("timing").Times
    whole = {1: times([4.0], [4.0]), 2: times([2.5], [4.2])}
    row = ranks.row("2 processes", whole, whole, 2, 1e-7)
    assert row.facts["speed-up, whole"].value == pytest.approx(1.6)
    with pytest.raises(UserError, match="2 processes: figures differ from one process's by 0"):
        ranks.row("2 processes", whole, whole, 2, 1e-3)


def test_a_case_is_published_as_a_study_is(
    load: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timing, memory = load("timing"), load("cases.memory")
    run = load("processes").Run(2.0, 1.0, 900.0, {"start": {"mb": 500.0, "wall": 1.0, "cpu": 1.0}})
    (tmp_path / "report.html").write_text("page")
    rows = [memory.row("100 queries", 100, run, tmp_path / "report.html")]
    monkeypatch.setattr(timing, "RESULTS", tmp_path)
    monkeypatch.setattr(timing, "command_line", lambda: "python benchmarks/speed.py memory data.root=/here")
    before = {**timing.machine(), "versions": {"torch": "2"}}
    timing.publish("memory", rows, None, timing.Options((100,), 1, 1), before, {})
    published = Published(tmp_path)
    assert published.value("memory", "memory", "100 queries", "peak") == "900"
    assert published.command("memory") == "python benchmarks/speed.py memory data.root=FOLDER"
    assert "| 100 queries | 20.0 |" in published.table("memory", "memory")
    assert "thread(s)" in published.note("memory", "machine")


def test_a_run_that_is_cut_off_keeps_every_second_batch(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    files = [tmp_path / "counterfactuals" / "revise" / f"batch-0000{i}.safetensors" for i in range(4)]
    files[0].parent.mkdir(parents=True)
    for file in (*files, tmp_path / "metrics.json"):
        file.touch()
    load("cases.memory").cut_off(tmp_path)
    assert [file.is_file() for file in files] == [True, False, True, False]
    assert not (tmp_path / "metrics.json").exists()


def test_a_page_is_told_by_its_slowest_answer(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    case = load("cases.page")
    (tmp_path / "report").mkdir()
    (tmp_path / "report.html").write_bytes(bytes(2**20))
    (tmp_path / "report" / "f-0.webp").write_bytes(bytes(2**19))
    times = {"filter": [30.0, 90.0, 20.0], "query": [10.0]}
    row = case.row("page", 7, [0.2, 0.4, 0.3], times, case.sizes(tmp_path), 5.0)
    told = {name: entry.value for name, entry in row.entries.items()}
    assert told.pop("ours") == pytest.approx(300)
    assert told == {
        "filter, median": 30.0,
        "filter, longest": 90.0,
        "query, median": 10.0,
        "query, longest": 10.0,
        "page": 1.0,
        "beside it": 0.5,
        "written": 5.0,
    }


def test_without_a_browser_it_says_so(load: Callable[[str], ModuleType]) -> None:
    with pytest.raises(FileNotFoundError, match="no Chromium is installed"), load("browser").browser(None):
        pass
