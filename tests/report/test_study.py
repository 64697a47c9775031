"""The joined jobs of a study: a view that cannot be shown is told, failed jobs are left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.entry import Entry
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.report.jobs import Job
from counterfoil.report.study import Outcome, Study, join
from counterfoil.report.table import Table
from counterfoil.report.view.base import Shown, View


class Seeds(View):
    """One row per job."""

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        return Shown({name: Table({str(job.seed): {"validity": Entry(0.5, unit="%")} for job in jobs})})


class Broken(View):
    """Needs a job that is not there."""

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        raise UserError("no finished job has confidence=1")


class Linked(View):
    """A row that leads to its job, and figures to sort."""

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        values = {"a": 0.5, "b": None, "c": 1200.0, "d": 0.75}
        rows = {row: {"score": Entry(value, 0, 2000, higher_is_better=True)} for row, value in values.items()}
        return Shown({name: Table(rows, links={"a": f"{jobs[0].folder.name}/report.html"})})


class Told(View):
    """A sentence and what a method makes of it."""

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        made = {"text": "a <good> film", "valid": False}
        return Shown(content={"sentences": [{"factual": "a <bad> film", "near": made}]})


def job(folder: Path, seed: int, weights: dict[str, str], methods: Sequence[str] = ()) -> Outcome:
    folder.mkdir(parents=True)
    config = {"seed": seed, "n": 7}
    summary = {"methods": {name: {} for name in methods}, "queries": {}, "config": config, "weights": weights}
    (folder / "metrics.json").write_text(json.dumps(summary))
    return Outcome(folder, [f"seed={seed}", "study=tiny", f"run_dir={folder}", f"store={folder}"])


def test_join(tmp_path: Path) -> None:
    outcomes = [
        job(tmp_path / "0", 0, {"a.safetensors": "00"}),
        job(tmp_path / "1", 1, {"b.safetensors": "11"}),
        Outcome(tmp_path / "2", ["seed=2", "study=tiny"], "no weights <here>"),
    ]
    study = Study("tiny", "Tiny & small", "python evaluate.py study=tiny", {"seeds": Seeds(), "no": Broken()})
    page = join(study, outcomes, tmp_path).read_text()
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["seeds"] == [0, 1]
    assert content["n"] == [7]
    assert content["weights"] == {"a.safetensors": "00", "b.safetensors": "11"}
    assert [entry["grid"] for entry in content["jobs"]] == [["seed=0"], ["seed=1"], ["seed=2"]]
    assert list(content["views"]["seeds"]["tables"]["seeds"]["rows"]) == ["0", "1"]
    assert content["missing"] == {"no": "no finished job has confidence=1"}
    assert "no weights &lt;here&gt;" in page
    assert "2 of 3" in page
    assert "Tiny &amp; small" in page
    assert "50.0" in (tmp_path / "tables" / "seeds.md").read_text()


def test_nothing_finished(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of 1 jobs finished: no weights"):
        join(Study("tiny", "Tiny", "", {}), [Outcome(tmp_path / "0", [], "no weights")], tmp_path)


def test_jobs_about_other_weights_of_one_name_are_told_apart(tmp_path: Path) -> None:
    outcomes = [job(tmp_path / str(i), i, {"cnn.safetensors": digest}) for i, digest in enumerate("aab")]
    with pytest.warns(CounterfoilWarning, match=r"jobs 0 and 2 read different weights called cnn.*true"):
        join(Study("tiny", "Tiny", "", {"seeds": Seeds()}), outcomes, tmp_path)
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["weights"] == {"cnn.safetensors": "a", "cnn.safetensors of job 2": "b"}


def test_a_row_named_after_a_method_leads_to_its_page(tmp_path: Path) -> None:
    outcomes = [job(tmp_path / "0", 0, {}, ["a", "b"])]
    page = join(Study("tiny", "Tiny", "", {"view": Linked()}), outcomes, tmp_path).read_text()
    assert '<th scope="row"><a href="methods/b.html">b</a></th>' in page
    assert '<th scope="row"><a href="0/report.html">a</a></th>' in page  # where the table says
    assert '<th scope="row">c</th>' in page
    assert (tmp_path / "methods" / "b.html").is_file()


def test_the_page_leads_to_its_runs(tmp_path: Path, tab: Any) -> None:
    outcomes = [job(tmp_path / str(seed), seed, {}, ["revise", "my & own"]) for seed in range(9)]
    study = Study("tiny", "Tiny", "python evaluate.py study=tiny", {"view": Linked()})
    page = join(study, outcomes, tmp_path)
    tab.open(page.as_uri(), 400, dark=True)
    links = tab.run("[...document.querySelectorAll('#view-0 a, #jobs a')].map((a) => a.getAttribute('href'))")
    assert links[:4] == [
        "0/report.html",
        "0/report.html",
        "0/report.html#method=revise",
        "0/report.html#method=my%20%26%20own",
    ]
    names = "[...document.querySelectorAll('#view-0 tbody th')].map((cell) => cell.textContent)"
    score = "document.querySelector('#view-0 thead th:nth-child(2) button').click()"
    tab.run(score)
    assert tab.run(names) == ["c", "d", "a", "b"]
    tab.run(score)
    assert tab.run(names) == ["a", "d", "c", "b"]
    tab.run("document.getElementById('wanted').focus()")
    tab.type("seed=3 revise")
    shown = "[...document.querySelectorAll('#listed tbody tr')].filter((row) => row.checkVisibility()).length"
    assert tab.run(shown) == 1
    assert tab.run((Path(__file__).parent / "readable.js").read_text()) == {"faint": [], "nameless": []}
    assert tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_sentences_stand_on_the_page_with_the_words_that_come(tmp_path: Path) -> None:
    study = Study("tiny", "Tiny", "python evaluate.py study=tiny", {"told": Told()})
    page = join(study, [job(tmp_path / "0", 0, {})], tmp_path).read_text()
    assert "a &lt;bad&gt; film<br><b>near</b> (not valid): a <ins>&lt;good&gt;</ins> film" in page
