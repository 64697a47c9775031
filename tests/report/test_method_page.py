"""A study's page for each method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from counterfoil.core.entry import Entry
from counterfoil.report.jobs import Job
from counterfoil.report.method_page import write_method_pages
from counterfoil.report.table import Table

REVISE = {
    "_target_": "counterfoil.explainer.revise.Revise",
    "lambda_": 2.5,
    "generator": {"role": "generative", "name": "vae", "net": {"latent": 32}},
}


def job(folder: Path, seed: int, **explainer: Any) -> Job:
    folder.mkdir()
    return Job(
        folder,
        {"methods": {name: {} for name in explainer}, "config": {"seed": seed, "explainer": explainer}},
    )


def test_a_page_tells_figures_options_and_jobs(tmp_path: Path) -> None:
    jobs = [job(tmp_path / "0", 4, revise=REVISE, nearest={}), job(tmp_path / "1", 5, nearest={})]
    figures = {"revise": {"l1": Entry(0.25, label="Change")}, "nearest": {"l1": Entry(0.5)}}
    table = Table(figures, marked={"l1": {"revise": "best"}})
    links = write_method_pages("Tiny & small", {"questions": table}, jobs, tmp_path)
    assert links == {"revise": "methods/revise.html", "nearest": "methods/nearest.html"}
    page = (tmp_path / links["revise"]).read_text()
    assert "Tiny &amp; small" in page
    assert '<th scope="row">Change</th><td><b>0.250</b></td>' in page
    assert "lambda_: 2.5" in page
    assert "generator.name: vae" in page
    assert "latent" not in page.split("<h2>Options</h2>")[1]  # of the model, not of the method
    assert "Source: Towards Realistic Individual Recourse" in page
    assert 'href="../0/report.html#method=revise"' in page
    other = (tmp_path / links["nearest"]).read_text()
    assert "0.500" in other
    assert "<b>0.500</b>" not in other
    assert "job 0 (seed 4)" in other
    assert "job 1 (seed 5)" in other


def test_a_table_without_the_method_is_left_out(tmp_path: Path) -> None:
    table = Table({"other": {"l1": Entry(0.25)}})
    (link,) = write_method_pages(
        "t", {"questions": table}, [job(tmp_path / "0", 0, revise={})], tmp_path
    ).values()
    assert "questions" not in (tmp_path / link).read_text()


def test_texts_are_written_and_not_drawn(tmp_path: Path) -> None:
    one = job(tmp_path / "0", 3, hotflip={})
    head = "query,method,source,target,valid,factual,counterfactual"
    lines = [head, '0,hotflip,a,b,1,a good film,"a <bad> film"']
    (one.folder / "texts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (link,) = write_method_pages("t", {}, [one], tmp_path).values()
    page = (tmp_path / link).read_text(encoding="utf-8")
    assert '<p class="text">a <del>good</del> film<br>a <ins>&lt;bad&gt;</ins> film</p>' in page
    assert "<img" not in page
