"""A method at work on a query set: cut off, refilled, and explaining a second time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from counterfoil.core.counterfactuals import Counterfactuals
from tests.run.test_evaluate import comparable, read_counterfactuals_of


def test_interrupted_in_a_search_goes_on_to_the_same_metrics(
    bench: Any, finished: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from counterfoil.explainer.wachter import Wachter

    explain, calls = Wachter.explain, []

    def broken(self: Wachter, query: Any) -> Any:
        calls.append(len(query))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return explain(self, query)

    with monkeypatch.context() as patch:
        patch.setattr(Wachter, "explain", broken)
        with pytest.raises(KeyboardInterrupt):
            bench.evaluate(tmp_path / "run")
    assert not (tmp_path / "run/metrics.json").exists()
    assert len(list((tmp_path / "run/counterfactuals/wachter").iterdir())) == 1
    first = tmp_path / "run/counterfactuals/wachter/batch-00000.safetensors"
    written = first.stat().st_mtime_ns
    assert comparable(bench.evaluate(tmp_path / "run")) == comparable(finished[1])
    assert first.stat().st_mtime_ns == written, "a finished batch was computed again"


def test_refilled_batches_give_the_same_figures_and_files(bench: Any, tmp_path: Path) -> None:
    """In float64, of corrupted queries beside the clean ones; and resumed."""
    asked = (
        "explainer=wachter",
        "dtype=float64",
        "corruption=noise",
        "reference=true",
        "metric=[validity,l1]",
    )
    alone, refilled = (
        bench.evaluate(tmp_path / name, *asked, *options)["methods"]["wachter"]
        for name, options in (("alone", ()), ("refilled", ("refill=4",)))
    )
    folder = tmp_path / "refilled" / "counterfactuals" / "wachter"
    for lost in (folder / "batch-00001.safetensors", tmp_path / "refilled" / "metrics.json"):
        lost.unlink()
    resumed = bench.evaluate(tmp_path / "refilled", *asked, "refill=4")["methods"]["wachter"]
    for name in ("validity", "l1"):
        for found in (refilled, resumed):
            assert found[name]["value"] == pytest.approx(alone[name]["value"], abs=1e-9)
    seconds = []
    for file in sorted((tmp_path / "alone" / "counterfactuals" / "wachter").iterdir()):
        one, other = Counterfactuals.load(file), Counterfactuals.load(folder / file.name)
        assert torch.equal(one.query, other.query)
        assert torch.equal(one.steps, other.steps)
        torch.testing.assert_close(one.counterfactual, other.counterfactual)
        torch.testing.assert_close(one.reference, other.reference)
        assert one.seconds.unique().numel() == 1
        seconds += other.seconds.tolist()
    assert len(set(seconds)) > 3, "each row has its own"


def test_a_second_explanation_leaves_the_first_and_its_costs(bench: Any, tmp_path: Path) -> None:
    """The same extras batch by batch and with places refilled; the first of two per query alone has them."""
    asked = ("explainer=wachter", "dtype=float64", "count=2", "batch_size=3", "n=6")
    metric = "metric=[l1,reversibility,returned,stability,composition]"
    passes = "again=[back,noise,own]"
    options = {
        "without": ("metric=[l1]",),
        "alone": (metric, passes),
        "refilled": (metric, passes, "refill=4"),
    }
    found = {name: bench.evaluate(tmp_path / name, *asked, *more) for name, more in options.items()}
    without, alone, refilled = (read_counterfactuals_of(tmp_path / name, "wachter") for name in options)
    for name in ("counterfactual", "steps", "classifier_calls", "target", "query"):
        assert torch.equal(getattr(without, name), getattr(alone, name)), name
    assert not without.extra
    for name in ("back", "noise", "own"):
        image = alone.extra[name]
        assert image[::2].isfinite().all()
        assert image[1::2].isnan().all()
        torch.testing.assert_close(refilled.extra[name], image, equal_nan=True)
    figures = found["alone"]["methods"]["wachter"]
    assert figures["composition"]["value"] == 0.0
    assert figures["stability"]["n"] == 6
    assert figures["returned"]["n"] == figures["reversibility"]["n"] == int(alone.valid[::2].sum())
    for name in ("reversibility", "returned", "stability"):
        again = found["refilled"]["methods"]["wachter"][name]["value"]
        assert again == pytest.approx(figures[name]["value"], abs=1e-6)
