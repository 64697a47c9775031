"""A run is audited where it has enough valid counterfactuals, and its figures stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from counterfoil.audit.audit import read_audit

FEW = ("n=30", "batch_size=20", "explainer=[nearest]", "metric=[validity,l1]", "audit.fewest=10")


def test_a_run_tells_what_its_classifier_relies_on(bench: Any, tmp_path: Path) -> None:
    found = bench.evaluate(tmp_path / "on", *FEW, "audit.what_if=5")
    told, maps = read_audit(tmp_path / "on")
    nearest = told["methods"]["nearest"]
    assert nearest["valid"] == round(30 * found["methods"]["nearest"]["validity"]["value"])
    assert nearest["frozen"]["n"] == 5
    assert nearest["judged"] is not None
    assert {"region/rest", "nearest/all/image"} <= set(maps)
    off = bench.evaluate(tmp_path / "off", *FEW, "audit=false")
    assert not (tmp_path / "off" / "audit.json").exists()
    assert off["methods"]["nearest"]["l1"] == found["methods"]["nearest"]["l1"]


def test_stored_counterfactuals_are_audited_without_their_method(bench: Any, tmp_path: Path) -> None:
    bench.evaluate(tmp_path / "first", *FEW, "audit=false")
    bench.evaluate(tmp_path / "again", *FEW, f"counterfactuals={tmp_path / 'first'}")
    assert read_audit(tmp_path / "again")[0]["methods"]["nearest"]["frozen"] is None
