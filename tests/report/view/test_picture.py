"""The same queries explained by each method, side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job
from counterfoil.report.view.picture import Picture, draw


def test_one_row_per_method_and_frames_where_it_fails(run: Any) -> None:
    shown = {name: run.methods[name][:4] for name in ("revise", "wachter")}
    shown["revise"] = run.methods["revise"][8:12]  # the first is valid, the others are not
    axes = draw(shown, ("a", "b"), differences=True).axes
    assert len(axes) == 5 * 4
    framed = [axis.spines["left"].get_visible() for axis in axes]
    assert framed == [False] * 4 + [False, True, True, True] + [False] * 12


def test_a_picture_of_a_finished_job(run: Any, job: Callable[..., Job], tmp_path: Path) -> None:
    jobs = [job(0.5, 0, {"revise": (0.1, 0.5)})]
    folder = jobs[0].folder / "counterfactuals" / "revise"
    folder.mkdir(parents=True)
    run.methods["revise"][torch.arange(12)].save(folder / "0.safetensors")
    (path,) = Picture(queries=3).show(jobs, tmp_path, "picture").files.values()
    assert Image.open(path).width > 300
    with pytest.raises(UserError, match="picture of wachter"):
        Picture(["wachter"]).show(jobs, tmp_path, "picture")
