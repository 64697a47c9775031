"""From two commands to a report, on the shipped digits; and an evaluation cut off and taken up again."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.data.counterfactuals import read_names
from tests.forked import Forked
from tests.inputs.test_layouts import idx

ROOT = Path(__file__).parents[2]
MEASURED = ("seconds", "peak_memory_mb")
PROMISED = {
    *(
        "validity",
        "target_probability",
        "l1",
        "l2",
        "linf",
        "sparsity",
        "judge_agreement",
        "im1",
        "im2",
        "fid_judge",
        "kid_judge",
    ),
    *("cout", "steps", "seconds", "classifier_calls", "peak_memory_mb", "l1_valid", "l2_valid"),
}


def comparable(summary: dict[str, Any]) -> dict[str, Any]:
    """What two runs of one command must share: everything but time and memory; NaN equals NaN."""
    return {
        method: {
            name: json.dumps(entry, sort_keys=True)
            for name, entry in entries.items()
            if not name.startswith(MEASURED)
        }
        for method, entries in summary["methods"].items()
    }


def test_run_folder_holds_what_scripts_rely_on(bench: Any, finished: tuple[Path, dict[str, Any]]) -> None:
    folder, returned = finished
    summary = json.loads((folder / "metrics.json").read_text())
    parts = {"methods", "standing", "queries", "config", "versions", "weights", "files", "content_sha256"}
    parts |= {"training_seconds"}
    assert set(summary) == parts
    assert set(summary["methods"]) == {"nearest", "wachter"}
    for entries in summary["methods"].values():
        assert set(entries) >= PROMISED
        assert all(
            set(entry) >= {"value", "low", "high", "n", "higher_is_better"} for entry in entries.values()
        )
    assert (
        summary["methods"]["nearest"]["validity"]["value"]
        == returned["methods"]["nearest"]["validity"]["value"]
    )
    assert summary["methods"]["nearest"]["validity"]["n"] == 12
    assert summary["config"]["n"] == 12
    assert "torch" in summary["versions"]
    assert (folder / "report.html").read_text().count("</html>") == 1
    assert OmegaConf.to_container(OmegaConf.load(folder / "config.yaml")) == summary["config"]
    assert not list(folder.rglob("*.partial"))
    assert not (folder / ".lock").exists()


def test_the_accuracy_on_these_data_is_stated_with_its_count(
    bench: Any, finished: tuple[Path, dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a classifier from the store what was measured after its training, else that of a sample: the same
    here, where the sample is the whole split; and after its outputs are renamed, what that makes of it."""
    folder, summary = finished
    (weights,) = bench.store.glob("digits-classifier-cnn-*.safetensors")
    trained = json.loads(weights.with_suffix(".json").read_text())["test"]["accuracy"]
    about = summary["queries"]
    assert (about["classifier_accuracy"], about["classifier_accuracy_n"]) == (trained, 150)
    page = (folder / "report.html").read_text()
    assert f"cnn, accuracy {100 * trained:.2f} % on 150 test images" in page
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in page
    foreign = (f"classifier.checkpoint={weights}", "explainer=[nearest]", "metric=[validity]")
    with caplog.at_level("INFO", logger="counterfoil"):
        own = bench.evaluate(tmp_path / "own", *foreign)["queries"]
        names = "classifier.class_names=[1,0,2,3,4,5,6,7,8,9]"
        renamed = bench.evaluate(tmp_path / "renamed", *foreign, names)["queries"]
    assert (own["classifier_accuracy"], own["classifier_accuracy_n"]) == (pytest.approx(trained), 150)
    assert renamed["classifier_accuracy"] < trained - 0.02
    said = f"classifier cnn: accuracy {100 * trained:.2f} % on 150 test images"
    assert said in caplog.messages
    tuned = bench.evaluate(tmp_path / "tuned", *foreign, "split=val")["queries"]
    assert tuned["classifier_accuracy_split"] == "val"
    held = (
        f"accuracy {100 * tuned['classifier_accuracy']:.2f} % on {tuned['classifier_accuracy_n']} val images"
    )
    assert held in (tmp_path / "tuned" / "report.html").read_text()
    asked = [(tmp_path / name / "query_set.csv").read_text() for name in ("own", "renamed")]
    assert asked[0] != asked[1], "other classes, other runners-up"


def test_table_and_summary_come_from_the_stored_counterfactuals(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, summary = finished
    rows = list(csv.DictReader((folder / "queries.csv").open()))
    for method in ("nearest", "wachter"):
        files = sorted((folder / "counterfactuals" / method).glob("*.safetensors"))
        assert [file.name for file in files] == [f"batch-{i:05d}.safetensors" for i in range(3)]
        cf = Counterfactuals.cat([Counterfactuals.load(file) for file in files])
        mine = [row for row in rows if row["method"] == method]
        assert [int(row["query"]) for row in mine] == cf.query.tolist() == list(range(12))
        asked = list(csv.DictReader((folder / "query_set.csv").open()))
        assert [row["image"] for row in mine] == [row["index"] for row in asked]
        assert [row["target"] for row in mine] == [row["target"] for row in asked]
        assert list(read_names(files[0]).values()) == [int(row["index"]) for row in asked[:5]]
        l1 = cf.delta.abs().mean((1, 2, 3))
        assert [float(row["l1"]) for row in mine] == pytest.approx(l1.tolist(), abs=1e-5)
        assert summary["methods"][method]["l1"]["value"] == pytest.approx(float(l1.mean()), abs=1e-6)
        assert summary["methods"][method]["validity"]["value"] == pytest.approx(
            float(cf.valid.float().mean()), abs=1e-6
        )
    assert summary["methods"]["nearest"]["validity"]["value"] > 0, (
        "the small classifier learned nothing, so these tests show nothing"
    )


def test_same_command_elsewhere_gives_the_same_numbers(
    bench: Any, finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    assert comparable(bench.evaluate(tmp_path / "again")) == comparable(finished[1])


def test_another_seed_asks_other_queries(
    bench: Any, finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    seeded = ("seed=0", "classifier.seed=0", "judge.seed=1000", "generative.seed=0", "autoencoder.seed=0")
    bench.evaluate(tmp_path / "run", *seeded, "seed=1", "explainer=[nearest]")
    assert (tmp_path / "run/query_set.csv").read_text() != (finished[0] / "query_set.csv").read_text()


def test_interrupted_while_scoring_goes_on_to_the_same_metrics(
    bench: Any, finished: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import counterfoil.run.evaluate as module

    with monkeypatch.context() as patch:
        patch.setattr(module, "report", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            bench.evaluate(tmp_path / "run")
        patch.undo()
    assert not (tmp_path / "run/metrics.json").exists()
    assert comparable(bench.evaluate(tmp_path / "run")) == comparable(finished[1])


@pytest.mark.slow
def test_killed_run_goes_on_to_the_same_metrics(
    bench: Any, finished: tuple[Path, dict[str, Any]], tmp_path: Path, environment: dict[str, str]
) -> None:
    run = tmp_path / "run"
    options = ["logger=none", *bench.models, f"store={bench.store}", *bench.quick, f"run_dir={run}"]
    process = Forked([str(ROOT / "evaluate.py"), *options], tmp_path, environment)
    try:
        _wait_for(run / "counterfactuals/nearest/batch-00000.safetensors", process)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        assert process.end().returncode == -signal.SIGKILL
    assert not (run / "metrics.json").exists()
    assert comparable(bench.evaluate(run, f"run_dir={run}")) == comparable(finished[1])


def _wait_for(path: Path, process: Forked) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_second_run_into_the_same_folder_is_refused(bench: Any, tmp_path: Path) -> None:
    small = ("explainer=[nearest]", "metric=[validity]")
    bench.evaluate(tmp_path / "run", *small)
    before = {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()}
    with pytest.raises(UserError, match=r"holds this evaluation already.*overwrite=true"):
        bench.evaluate(tmp_path / "run", *small)
    with pytest.raises(UserError, match="holds another evaluation"):
        bench.evaluate(tmp_path / "run", *small, "confidence=0.6")
    assert {
        path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()
    } == before
    summary = bench.evaluate(tmp_path / "run", *small, "confidence=0.6", "overwrite=true")
    assert summary["config"]["confidence"] == 0.6
    assert json.loads((tmp_path / "run/metrics.json").read_text())["config"]["confidence"] == 0.6


def test_a_pair_of_classes_asks_each_for_the_other(bench: Any, tmp_path: Path) -> None:
    for run in ("run", "again"):  # drawn, then read
        bench.evaluate(tmp_path / run, "n=4", "target=0:1", "explainer=[nearest]", "metric=[validity]")
        rows = list(csv.DictReader((tmp_path / run / "queries.csv").open()))
        assert {(row["source"], row["target"]) for row in rows} == {("0", "1"), ("1", "0")}


def test_all_targets_and_several_counterfactuals_have_a_row_each(bench: Any, tmp_path: Path) -> None:
    summary = bench.evaluate(
        tmp_path / "run", "n=3", "target=all", "count=2", "explainer=[nearest]", "metric=[validity,l1]"
    )
    assert summary["queries"]["n"] == 3
    assert summary["queries"]["rows"] == {"nearest": 3 * 9 * 2}
    rows = list(csv.DictReader((tmp_path / "run/queries.csv").open()))
    assert [int(row["query"]) for row in rows] == [q for q in range(3) for _ in range(18)]


def test_mask_keeps_its_pixels(bench: Any, tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    mask = np.zeros((28, 28), np.uint8)
    mask[:, :14] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    bench.evaluate(
        tmp_path / "run", "explainer=[wachter]", f"mask={tmp_path / 'mask.png'}", "metric=[validity]", "n=4"
    )
    cf = Counterfactuals.load(tmp_path / "run/counterfactuals/wachter/batch-00000.safetensors")
    assert float(cf.delta[..., :14].abs().max()) == 0
    assert float(cf.delta[..., 14:].abs().max()) > 0


def test_folder_of_images_is_explained_in_both_precisions(bench: Any, tmp_path: Path) -> None:
    from PIL import Image

    from counterfoil.data.digits import Digits

    images = Digits().test.images[:3, 0].numpy()
    (tmp_path / "images").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"images/{'cab'[i]}.png")
    for dtype in ("float32", "float64"):
        options = (
            f"queries={tmp_path / 'images'}",
            f"dtype={dtype}",
            "explainer=[nearest]",
            "metric=[validity,l1]",
        )
        assert math.isfinite(bench.evaluate(tmp_path / dtype, *options)["methods"]["nearest"]["l1"]["value"])
        rows = list(csv.DictReader((tmp_path / dtype / "queries.csv").open()))
        assert [row["image"] for row in rows] == ["a.png", "b.png", "c.png"]


def test_foreign_file_is_scored_without_explaining(bench: Any, tmp_path: Path) -> None:
    """Neither a search nor a generative model is needed."""
    from counterfoil.data.digits import Digits

    (tmp_path / "store").mkdir()
    for file in bench.store.glob("digits-*"):
        if "-generative-" not in file.name:
            (tmp_path / "store" / file.name).symlink_to(file)
    images = Digits().test[:8].x.numpy()
    np.savez(tmp_path / "theirs.npz", factual=images, counterfactual=images[::-1], target=np.arange(8))
    given = (
        f"store={tmp_path / 'store'}",
        "explainer=[revise]",
        f"counterfactuals={tmp_path / 'theirs.npz'}",
    )
    summary = bench.evaluate(tmp_path / "run", *given)
    assert list(summary["methods"]) == ["theirs"]
    scored = summary["methods"]["theirs"]
    assert scored["l1"]["value"] == pytest.approx(float(np.abs(images - images[::-1]).mean()), abs=1e-6)
    cf = Counterfactuals.load(tmp_path / "run/counterfactuals/theirs/batch-00000.safetensors")
    assert scored["validity"]["value"] == pytest.approx(float(cf.valid.float().mean()))
    assert not np.isfinite(scored["steps"]["value"] if scored["steps"]["value"] is not None else np.nan)


def test_stored_run_scored_again_gives_its_own_numbers(
    bench: Any, finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, summary = finished
    again = bench.evaluate(
        tmp_path / "run", f"counterfactuals={folder}", "metric=[validity,l1,cout,classifier_calls]"
    )
    for method, entries in again["methods"].items():
        for name in ("validity", "l1", "l1_valid", "cout", "classifier_calls"):
            assert entries[name] == summary["methods"][method][name]


def test_refused_file_leaves_no_run_behind(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "theirs.npz"
    images = np.full((3, 1, 4, 4), 0.2, np.float32)
    np.savez(path, factual=images, counterfactual=images, target=np.ones(3, int))
    with pytest.raises(UserError, match="the data are"):
        bench.evaluate(tmp_path / "run", f"counterfactuals={path}", "metric=[validity]")
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_corrupted_queries_ask_what_the_clean_ones_call_for(bench: Any, tmp_path: Path) -> None:
    """Targets and clean images, and what reference=true keeps, are those of the run without a corruption."""
    chosen = (
        *bench.quick,
        "explainer=[unchanged,wachter]",
        "metric=[l1_to_clean,l1_to_reference]",
        "count=2",
    )
    options = {"clean": (), "noisy": ("corruption=noise", "corruption.sigma=0.3", "reference=true")}
    for name, more in options.items():
        bench.evaluate(tmp_path / name, *chosen, *more)
    clean, noisy = (read_counterfactuals_of(tmp_path / name, "wachter") for name in options)
    assert torch.equal(noisy.target, clean.target)
    assert torch.equal(noisy.clean, clean.factual)
    assert not torch.equal(noisy.factual, clean.factual)
    assert torch.equal(noisy.reference, clean.counterfactual)
    assert clean.clean is None
    same = read_counterfactuals_of(tmp_path / "noisy", "unchanged")
    assert torch.equal(same.counterfactual, noisy.factual)
    drawn = json.loads((tmp_path / "noisy" / "metrics.json").read_text())["methods"]["unchanged"][
        "l1_to_clean"
    ]
    assert drawn["value"] == pytest.approx(float((same.factual - same.clean).abs().mean()), rel=1e-5)


def read_counterfactuals_of(run: Path, method: str) -> Counterfactuals:
    return Counterfactuals.cat(
        [
            Counterfactuals.load(file)
            for file in sorted((run / "counterfactuals" / method).glob("*.safetensors"))
        ]
    )


def test_data_whose_own_option_is_called_split_are_evaluated(bench: Any, tmp_path: Path) -> None:
    """The identity of the data, and with it every address, stays whatever split is asked about."""
    draw = torch.Generator().manual_seed(0)
    for part, count in (("train", 94), ("test", 47)):
        images = torch.randint(0, 256, (count, 28, 28), generator=draw).numpy()
        labels = torch.arange(count).remainder(47).numpy()
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            (tmp_path / f"emnist-balanced-{part}-{kind}-ubyte").write_bytes(idx(values))
    given = ("data=emnist", f"data.root={tmp_path}", "explainer=nearest", "n=4", "metric=[validity]")
    small = (
        "classifier.training.epochs=1",
        "judge=null",
        "train_missing=true",
        f"store={tmp_path / 'store'}",
    )
    found = bench.evaluate(tmp_path / "run", *given, *small)
    assert found["queries"]["n"] == 4
    assert found["config"]["data"].get("split", "balanced") == "balanced"
    assert [path.name.split("-")[1] for path in (tmp_path / "store").glob("*.safetensors")] == ["classifier"]


def test_every_method_ends_with_the_stage_of_a_config(bench: Any, tmp_path: Path) -> None:
    """What reaches its target still does, and comes nearer."""
    given = ("confidence=0.11", "n=6")  # the small classifier is never surer
    plain = bench.evaluate(tmp_path / "plain", *given)["methods"]
    found = bench.evaluate(tmp_path / "restored", *given, "refine=restore")["methods"]
    for name in ("nearest", "wachter"):
        assert found[name]["validity"]["value"] == plain[name]["validity"]["value"]
        assert found[name]["l1"]["value"] <= plain[name]["l1"]["value"]
    assert found["nearest"]["l1"]["value"] < plain["nearest"]["l1"]["value"]
