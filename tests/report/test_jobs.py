"""Finished jobs as they lie on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job, by_option, read_job, select


def finished(folder: Path, **config: object) -> Job:
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps({"methods": {}, "queries": {}, "config": config}))
    return read_job(folder)


def test_options_group_and_select_jobs(tmp_path: Path) -> None:
    jobs = [
        finished(tmp_path / str(i), seed=i, explainer={"disc": {"prior": prior}})
        for i, prior in enumerate(("inr", "dip", "inr"))
    ]
    groups = by_option(jobs, "explainer.disc.prior")
    assert {value: [job.seed for job in part] for value, part in groups.items()} == {
        "dip": [1],
        "inr": [0, 2],
    }
    assert [job.seed for job in select(jobs, {"seed": 2})] == [2]
    assert jobs[0].option("explainer.disc") == {"prior": "inr"}
    with pytest.raises(UserError, match="no finished job has seed=3"):
        select(jobs, {"seed": 3})


@pytest.mark.parametrize("text", [None, "{", "[]", '{"methods": {}}'])
def test_what_is_no_finished_run_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(UserError, match=r"metrics\.json"):
        read_job(tmp_path)


def test_a_job_without_counterfactuals_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no counterfactuals of revise"):
        finished(tmp_path / "0").counterfactuals("revise")


def test_what_a_method_was_trained_for_is_among_its_figures(tmp_path: Path) -> None:
    job = Job(
        tmp_path, {"methods": {"revise": {}, "own": {}}, "training_seconds": {"revise": 12.5, "gone": 1.0}}
    )
    assert job.methods["revise"]["training_seconds"].value == 12.5
    assert job.methods["own"] == {}
    assert "gone" not in job.methods
