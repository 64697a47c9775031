"""Texts of the first queries, as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job
from counterfoil.report.view.sentences import Sentences


def test_the_first_texts_are_kept_valid_or_not(job: Callable[..., Job], tmp_path: Path) -> None:
    made = job(0.5, 0, {"near": (0.1, 1.0)})
    lines = [f"{i},near,a,b,1,a <unk> film {i},a good film {i}" for i in range(3)]
    head = "query,method,source,target,valid,factual,counterfactual"
    (made.folder / "texts.csv").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    made.rows["near"][1]["valid"] = "0"
    rows = Sentences(["near"], queries=2).show([made], tmp_path, "first").content["sentences"]
    assert rows == [
        {"factual": "a <unk> film 0", "near": {"text": "a good film 0", "valid": True}},
        {"factual": "a <unk> film 1", "near": {"text": "a good film 1", "valid": False}},
    ]


def test_a_study_of_images_has_none(job: Callable[..., Job], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"texts of near, which .* has not; it has no texts"):
        Sentences(["near"]).show([job(0.5, 0, {"near": (0.1, 1.0)})], tmp_path, "first")
