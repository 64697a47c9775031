"""The command of the timings: each case at its smallest size, without a word on how long anything takes."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import torch

from counterfoil.core.errors import UserError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LEVERS = ["removal alone", "flip=margin", "refill", "precision=bf16", "flip=margin, refill", "all"]
FAST = {
    "search": [
        "data.limit=30",
        "classifier.training.epochs=1",
        "classifier.net.width=2",
        "generative.training.epochs=1",
        "generative.net.width=2",
    ],
    "levers": [
        "data.limit=30",
        "classifier.training.epochs=1",
        "classifier.net.width=2",
        "classifier@judge=cnn",
        "judge.training.epochs=1",
        "judge.net.width=2",
        "generative.training.epochs=1",
        "generative.net.width=2",
    ],
    "training": ["data.limit=30"],
    "strip": ["data.limit=30"],
    "priors": ["data.limit=30"],
    "attributes": ["data=digits", "data.limit=30", "attribute=null", "generative.net.width=4"],
}
ROWS = {
    "search": ["revise, 2 at once", "wachter, 2 at once", "revise, 2 until valid", "wachter, 2 until valid"],
    "levers": [
        f"{method} at {confidence}, {lever}"
        for method in ("revise", "wachter")
        for confidence in ("0.95", "0.999")
        for lever in LEVERS
    ],
    "training": ["batch of 2"],
    "strip": ["strip, 2 at once", "explanation, 2 at once", "one bin, 2 at once"],
    "priors": ["inr, 2 at once", "dip, 2 at once"],
    "attributes": ["gci, 2 at once", "aip, 2 at once"],
}
COLUMN = "ours / {}, median"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of benchmarks/ by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    ours = ("speed", "timing", "subject", "processes", "cases")
    for name in [name for name in sys.modules if name.split(".")[0] in ours]:
        monkeypatch.delitem(sys.modules, name)
    return importlib.import_module


@pytest.mark.parametrize("case", list(ROWS))
def test_each_case_runs_and_is_recorded(
    load: Callable[[str], ModuleType],
    case: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timing, speed, search = load("timing"), load("speed"), load("cases.search")
    monkeypatch.setattr(timing, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(timing, "RESULTS", tmp_path)
    for part in (search, importlib.import_module("cases.levers")):
        for method in ("Revise", "Wachter"):  # networks this poor do not flip; give up soon
            monkeypatch.setattr(part, method, partial(getattr(part, method), steps=3))
    sizes = ["--queries", "2", "--steps", "1" if case != "training" else "2", "--repeats", "1"]
    path = speed.measure([case, *FAST[case], f"store={tmp_path}", *sizes])
    told = json.loads(path.read_text())
    assert path == tmp_path / "records" / f"{case}.json"
    assert list(told["rows"]) == ROWS[case]
    assert told["options"]["queries"] == [2]
    assert told["options"]["threads"] == 1
    printed = capsys.readouterr().out
    for name, row in told["rows"].items():
        others = [other for other in told["seconds"][name] if other != "ours"]
        assert others
        assert all(row[COLUMN.format(other)]["value"] > 0 for other in others)
        assert f"| {name} |" in printed


def test_passes_of_a_strip_are_counted(load: Callable[[str], ModuleType]) -> None:
    strip, timing = load("cases.strip"), load("timing")
    told = strip.rows(timing.Options((2,), 1, 1, overrides=("data.limit=30",)))
    found = {row.name: [entry.value for entry in row.facts.values()] for row in told}
    assert found == {
        "strip, 2 at once": [1, 10, 0],
        "explanation, 2 at once": [1, 10, 10],
        "one bin, 2 at once": [1, 1, 0],
    }


def test_an_unknown_case_is_refused(
    load: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        load("speed").measure(["picture"])
    assert "invalid choice: 'picture'" in capsys.readouterr().err


def test_the_floor_is_gradient_descent(load: Callable[[str], ModuleType]) -> None:
    """x <- x - lr 2 x on x^2: two steps at lr = 0.25 halve x twice; it does no step more."""
    timing = load("timing")
    x = torch.tensor([8.0])
    steps = timing.descent([x], lambda: x.square().sum(), lambda moved: torch.optim.SGD(moved, lr=0.25))
    timing.take(steps, 2)
    assert x.item() == 2.0
    timing.take(steps, 1)
    assert x.item() == 1.0


def test_ratios_of_known_times(load: Callable[[str], ModuleType]) -> None:
    """Pairs 3/1, 4/4, 2/1: their median is 2; the quickest are 2 and 1; CPU 6 and 4."""
    timing = load("timing")
    ours, other = (
        timing.Times([3.0, 4.0, 2.0], [6.0, 7.0, 8.0]),
        timing.Times([1.0, 4.0, 1.0], [4.0, 5.0, 4.0]),
    )
    assert timing.ratios(ours, other) == {"median": 2.0, "quickest": 2.0, "CPU": 1.5}


def test_a_row_compares_ours_with_each_other_side(load: Callable[[str], ModuleType]) -> None:
    timing = load("timing")
    times = {name: timing.Times([s], [s]) for name, s in (("ours", 0.02), ("floor", 0.01), ("singly", 0.08))}
    text = timing.table([timing.Row("a", times), timing.Row("b", {"ours": times["ours"]}, "query")])
    assert "ours ms per query" in text
    line = [part.strip() for part in text.splitlines()[2].split("|")[1:-1]]
    assert line == ["a", "20.0", "10.0", "80.0", "2.00", "2.00", "2.00", "0.250", "0.250", "0.250"]
    assert text.splitlines()[3].split("|")[3].strip() == "–"


def test_sides_take_turns_and_are_counted_per_unit(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side `a` takes 6 s for 3 units, `b` 5 s for one, on a clock that only they move."""
    timing = load("timing")
    clock, order = [0.0], []

    def side(name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            order.append(name)
            clock[0] += seconds

        return run

    monkeypatch.setattr(timing, "now", lambda: (clock[0], clock[0] / 2))
    works = {"a": timing.Work(side("a", 6.0), 3), "b": timing.Work(side("b", 5.0))}
    times = timing.interleave(works, 2)
    assert order == ["a", "b", "a", "b", "b", "a"]
    assert times == {"a": timing.Times([2.0, 2.0], [1.0, 1.0]), "b": timing.Times([5.0, 5.0], [2.5, 2.5])}
    timing.interleave(works, 1, warm=False)
    assert order[6:] == ["a", "b"]


def test_a_model_taken_out_is_refused_in_a_line(load: Callable[[str], ModuleType]) -> None:
    load("timing")
    with pytest.raises(UserError, match="needs classifier and generative"):
        load("subject").chosen(None)


def test_no_repeat_begins_after_enough(load: Callable[[str], ModuleType]) -> None:
    timing, ran = load("timing"), []
    works = {"ours": timing.Work(lambda: ran.append(1))}
    assert len(timing.interleave(works, 5, warm=False, enough=-1.0)["ours"].wall) == len(ran) == 1
    assert len(timing.interleave(works, 5, warm=False, enough=1e6)["ours"].wall) == 5


def test_figures_of_a_case_are_published(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    """As RESULTS.md reads them: the columns named, and no folder of this machine."""
    timing = load("timing")
    times = {"ours": timing.Times([2.0], [2.0]), "floor": timing.Times([1.0], [1.0])}
    rows = [timing.Row("a row", times, facts={"steps": timing.Entry(3.0, n=1)})]
    before = {**timing.machine(), "versions": {"torch": "2"}}
    timing.RESULTS = tmp_path
    (tmp_path / "levers.json").write_text(json.dumps({"notes": {"tried": {"value": 1}}, "n": [9]}))
    path = timing.publish("levers", rows, ("ours", "steps"), timing.Options((4,), 1, 1), before, {"w": "0"})
    told = json.loads(path.read_text())
    table = told["views"]["levers"]["tables"]["levers"]
    assert told["notes"]["tried"] == {"value": 1}
    assert "thread(s)" in told["notes"]["machine"]["text"]
    assert table["columns"] == ["ours", "steps"]
    assert table["rows"]["a row"]["ours"]["value"] == 2000
    assert (told["n"], told["weights"], told["versions"]) == ([4], {"w": "0"}, {"torch": "2"})
