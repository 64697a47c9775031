"""From a method's images along the way to what the page says about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.run.models import Models
from counterfoil.run.results import read_along
from counterfoil.run.store import Store
from counterfoil.util.build import plain

SMALL = (
    "explainer=[nearest,progressive]",
    "explainer.progressive.generator.net.width=4",
    "metric=[validity]",
    "n=6",
)


@pytest.fixture
def evaluated(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, Any]]:
    """The folder of a run with an untrained generator, and what was read along its strips."""
    node = plain(bench.compose("evaluate", *bench.models, f"store={bench.store}", *SMALL)[0])
    models = Models(Store(bench.store), node["data"])
    generator = node["explainer"]["progressive"]["generator"]
    torch.manual_seed(0)
    weights = {key: value.contiguous() for key, value in models.network(generator).state_dict().items()}
    save_file(weights, str(models.store.address(generator, models.data)))
    kept: dict[str, Any] = {}

    def spied(evaluation: Any) -> Any:
        kept.update(read_along(evaluation))
        return kept

    monkeypatch.setattr("counterfoil.run.results.read_along", spied)
    bench.evaluate(tmp_path / "run", *SMALL)
    return tmp_path / "run", kept


def test_every_image_is_read_and_shown(bench: Any, evaluated: tuple[Path, dict[str, Any]]) -> None:
    folder, readings = evaluated
    assert set(readings) == {"progressive"}
    files = sorted((folder / "counterfactuals/progressive").glob("*.safetensors"))
    cf = Counterfactuals.cat([Counterfactuals.load(file) for file in files])
    reading = readings["progressive"]
    assert reading.probability.shape == reading.decided.shape == cf.path.shape[:2] == (6, 10)
    rows = torch.arange(6)
    chosen = cf.extra["bin"].long()
    torch.testing.assert_close(reading.probability[rows, chosen], cf.target_probability, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(reading.posteriors.requested, cf.extra["requested"])
    assert torch.equal(reading.decided[rows, chosen], cf.valid)
    # an untrained knob has temperature 1, and then the calibrated posterior is the classifier's own
    torch.testing.assert_close(reading.posteriors.obtained, reading.probability, rtol=1e-4, atol=1e-5)
    page = (folder / "report.html").read_text()
    assert page.count("Step by step") == 1
    assert "before calibration" not in page
    assert {path.name for path in (folder / "strips").iterdir()} == {
        *("progressive.png", "progressive-compatibility.svg", "progressive-compatibility-dark.svg")
    }


def test_stored_strips_are_read_without_their_generator(
    bench: Any, evaluated: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, kept = evaluated
    first = kept["progressive"].probability
    kept.clear()
    bench.evaluate(
        tmp_path / "again", f"counterfactuals={folder}", "explainer=[nearest]", "metric=[validity]"
    )
    assert kept["progressive"].posteriors is None
    torch.testing.assert_close(kept["progressive"].probability, first)
    assert [path.name for path in (tmp_path / "again/strips").iterdir()] == ["progressive.png"]


def test_the_classifier_is_asked_about_each_image() -> None:
    x = torch.full((2, 1, 2, 2), 0.1)
    path = torch.tensor([[0.1, 0.4, 0.9], [0.2, 0.6, 0.7]])[:, :, None, None, None].expand(-1, -1, 1, 2, 2)
    one, cost = torch.ones(2, dtype=torch.int64), torch.zeros(2)

    class Bright(nn.Module):
        """Logits (0, 4 * (mean - 1/2))."""

        def forward(self, x: Tensor) -> Tensor:
            s = 4 * (x.mean((1, 2, 3)) - 0.5)
            return torch.stack((torch.zeros_like(s), s), dim=1)

    model = Bright()
    cf = Counterfactuals(
        x, path[:, -1], one, model(x), model(path[:, -1]), one, cost, cost, cost, cost, path=path
    )
    counterfactuals = {"m": cf, "other": replace(cf, path=None)}
    read = read_along(
        SimpleNamespace(counterfactuals=counterfactuals, classifier=model, node={}, models=None)
    )  # type: ignore[arg-type]
    assert set(read) == {"m"}
    torch.testing.assert_close(read["m"].probability, (4 * (path[..., 0, 0, 0] - 0.5)).sigmoid())
    assert read["m"].decided.tolist() == [[False, False, True], [False, True, True]]
    torch.testing.assert_close(read["m"].start, torch.tensor(-1.6).sigmoid().expand(2))
