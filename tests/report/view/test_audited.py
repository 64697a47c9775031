"""Whether a planted cause is found in what an audit has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job
from counterfoil.report.view.audited import Audited
from counterfoil.util.record import write_json


def part(name: str, moved: float, first: float) -> dict[str, Any]:
    return {
        "part": name,
        "moved": [moved, moved - 0.1, moved + 0.1],
        "flipped": [0.8, 0.7, 0.9],
        "first": first,
    }


def job(folder: Path, planted: Any, strength: float = 1.0) -> Job:
    """Two methods: of one the corner comes first, of the other the colour."""
    folder.mkdir()
    parts = [part("A", 0.9, 0.97), part("colour", 0.3, 0.02), part("rest", 0.1, 0.01)]
    attributes = [
        {"attribute": "Hat", "moved": [0.6, 0.5, 0.7], "first": 0.9},
        {"attribute": "Tie", "moved": [0.2, 0.1, 0.3], "first": 0.1},
    ]
    methods = {
        name: {"used": 30, "attributes": listed, "directions": {"all": {"ranked": ranked}}}
        for name, ranked, listed in (("one", parts, attributes), ("other", parts[1:] + parts[:1], []))
    }
    write_json(folder / "audit.json", {"methods": methods})
    region, size = torch.zeros(8, 8, dtype=torch.bool), torch.zeros(8, 8)
    region[4:] = True
    size[6:, 6:], size[4, :4] = 0.5, 0.4
    maps = {"region/A": region, "region/rest": ~region, "one/all/size": size, "other/all/size": size.clone()}
    save_file(maps, str(folder / "audit.safetensors"))
    return Job(folder, {"methods": {}, "config": {"planted": planted, "strength": strength}})


def test_a_region_is_planted_where_half_of_its_change_lies_in_the_box(tmp_path: Path) -> None:
    causes = {
        "corner": {"box": [6, 6, 8, 8]},
        "half of it": {"box": [6, 6, 8, 7]},
        "tint": {"kind": "colour"},
    }
    shown = Audited().show([job(tmp_path / "job", causes)], tmp_path, "planted")
    first, sure, moves = (shown.tables[f"planted{kind}"].rows for kind in ("", " sure", " moves"))
    assert [first["corner"][name].value for name in ("one", "other", "by")] == [1, 0, 0.5]
    assert [first["half of it"][name].value for name in ("one", "other", "by")] == [0, 0, 0]
    assert [first["tint"][name].value for name in ("one", "other", "by")] == [0, 1, 0.5]
    assert sure["corner"]["one"].value == 0.97
    assert (moves["corner"]["one"].value, moves["corner"]["one"].low) == (0.9, 0.8)
    assert moves["half of it"]["one"].value is None
    assert shown.tables["planted turned"].rows["corner"]["one"].value == 0.8


def test_attributes_are_ranked_where_there_are_some(tmp_path: Path) -> None:
    shown = Audited(labels={"hat": "the hat"}).show(
        [job(tmp_path / "job", {"hat": {"attribute": "Hat"}})], tmp_path, "x"
    )
    assert set(shown.tables["x"].rows["the hat"]) == {"one", "by"}
    assert shown.tables["x"].rows["the hat"]["one"].value == 1
    assert shown.tables["x moves"].rows["the hat"]["one"].value == 0.6


def test_jobs_are_chosen_and_wrong_causes_refused(tmp_path: Path) -> None:
    jobs = [
        job(tmp_path / "a", {"tint": {"kind": "colour"}}),
        job(tmp_path / "b", {"no": {"kind": "x"}}, 0.0),
    ]
    assert set(Audited(where={"strength": 0.0}).show(jobs, tmp_path, "x").tables["x"].rows) == {"no"}
    with pytest.raises(UserError, match="names causes"):
        Audited().show([job(tmp_path / "c", None)], tmp_path, "x")
    with pytest.raises(UserError, match="has one of box, kind, attribute"):
        Audited().show([job(tmp_path / "d", {"tint": {"colour": "red"}})], tmp_path, "x")
