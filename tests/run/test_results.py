"""What is measured and shown: strips on the page, a judge evaluated once, metrics that cannot be taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from safetensors.torch import save_file
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.query import probability_of
from counterfoil.data.digits import Digits
from counterfoil.data.images import Unlabelled
from counterfoil.metric.network import Borrowed
from counterfoil.run.config import RunConfig
from counterfoil.run.models import Models
from counterfoil.run.results import measurable
from counterfoil.testing.texts import Sentences

Compose = Callable[..., tuple[DictConfig, Any]]
NEEDS_JUDGE = {"judge_agreement", "fid_judge", "kid_judge"}
SMALL = (
    "explainer=[nearest,progressive]",
    "explainer.progressive.generator.net.width=4",
    "metric=[validity]",
    "n=6",
)


@pytest.fixture
def folder(bench: Any, tmp_path: Path) -> Path:
    """The folder of a run with an untrained generator."""
    config = RunConfig.of(bench.compose("evaluate", *bench.models, f"store={bench.store}", *SMALL)[0])
    models = Models.of(config)
    generator = config.explainer["progressive"]["generator"]
    torch.manual_seed(0)
    weights = {key: value.contiguous() for key, value in models.network(generator).state_dict().items()}
    save_file(weights, str(models.store.address(generator, models.data)))
    bench.evaluate(tmp_path / "run", *SMALL)
    return tmp_path / "run"


def read(folder: Path) -> Counterfactuals:
    files = sorted((folder / "counterfactuals/progressive").glob("*.safetensors"))
    return Counterfactuals.cat([Counterfactuals.load(file) for file in files])


def test_every_image_is_graded_and_shown(folder: Path) -> None:
    cf = read(folder)
    assert cf.strip is not None
    assert cf.strip.logits is not None
    assert cf.strip.logits.shape[:2] == cf.strip.images.shape[:2] == (6, 10)
    returned = (cf.strip.images == cf.counterfactual[:, None]).flatten(2).all(2).int().argmax(1)
    own = cf.strip.logits[torch.arange(6), returned]
    torch.testing.assert_close(own, cf.counterfactual_logits, rtol=1e-4, atol=1e-5)
    # an untrained knob has temperature 1, and then the calibrated posterior is the classifier's own
    found = cf.strip.posteriors(cf.target, cf.factual_logits)
    assert found is not None
    torch.testing.assert_close(
        found.obtained, probability_of(cf.strip.logits, cf.target), rtol=1e-4, atol=1e-5
    )
    page = (folder / "report.html").read_text()
    assert page.count("Step by step") == 1
    assert "before calibration" not in page
    assert {path.name for path in (folder / "strips").iterdir()} == {
        *("progressive.png", "progressive-compatibility.svg", "progressive-compatibility-dark.svg")
    }


def test_stored_strips_are_read_without_their_generator(bench: Any, folder: Path, tmp_path: Path) -> None:
    options = ("explainer=[nearest]", "metric=[compatibility_mae,extreme_validity]")
    again = bench.evaluate(tmp_path / "again", f"counterfactuals={folder}", *options)
    stored, first = read(tmp_path / "again").strip, read(folder).strip
    assert stored is not None
    assert first is not None
    for name, value in first.tensors().items():
        torch.testing.assert_close(stored.tensors()[name], value, rtol=1e-4, atol=1e-5)
    assert {file.name for file in (tmp_path / "again/strips").iterdir()} == {
        *("progressive.png", "progressive-compatibility.svg", "progressive-compatibility-dark.svg")
    }
    assert 0 <= again["methods"]["progressive"]["compatibility_mae"]["value"] <= 1
    assert again["methods"]["nearest"]["compatibility_mae"]["value"] is None


@pytest.mark.parametrize("spacing", ["shift", "posterior"])
def test_any_method_with_frames_has_its_strip_measured_and_shown(
    bench: Any, tmp_path: Path, spacing: str
) -> None:
    options = (f"explainer.latent_shift.spacing={spacing}", "explainer.latent_shift.frames=4")
    node = ("explainer=[latent_shift]", *options, "n=4")
    found = bench.evaluate(tmp_path / "run", *node, "metric=[compatibility_mae,extreme_validity]")
    entries = found["methods"]["latent_shift"]
    assert (entries["compatibility_mae"]["value"] is None) == (spacing == "shift")
    assert 0 <= entries["extreme_validity"]["value"] <= 1
    page = (tmp_path / "run/report.html").read_text()
    assert "Step by step" in page
    assert ("Is the request followed?" in page) == (spacing == "posterior")


def test_the_seconds_of_training_are_those_of_each_methods_models(bench: Any, tmp_path: Path) -> None:
    found = bench.evaluate(tmp_path / "run", "explainer=[nearest,revise]", "metric=[validity]", "n=4")
    config = RunConfig.of(bench.compose("evaluate", *bench.models, f"store={bench.store}")[0])
    models = Models.of(config)
    assert config.generative is not None
    seconds = models.store.manifest(config.generative, models.data).get("seconds")
    assert found["training_seconds"] == {"nearest": 0.0, "revise": seconds}


def test_the_judge_is_evaluated_once_on_each_set(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Tensor]] = []
    ask = Borrowed._ask

    def counted(self: Borrowed, *inputs: Tensor, method: str) -> Tensor:
        calls.append((f"{id(self.net)} {method}", inputs[0]))
        return ask(self, *inputs, method=method)

    monkeypatch.setattr(Borrowed, "_ask", counted)
    options = ("explainer=[nearest]", "metric=[judge_agreement,fid_judge,kid_judge]", "n=6")
    bench.evaluate(tmp_path / "run", *options)
    pairs = [(key, id(x)) for key, x in calls]
    assert len(set(pairs)) == len(pairs)
    assert sum(x.shape[0] == 6 for _, x in calls) == 2, (
        "logits for the agreement and the page, features for both"
    )


def test_without_a_judge_labelled_data_keep_all_other_metrics(
    compose: Compose, recwarn: pytest.WarningsRecorder
) -> None:
    for said in ("judge=null", "~classifier@judge"):
        config = RunConfig.of(compose("evaluate", said)[0])
        with pytest.warns(CounterfoilWarning, match="left out"):
            kept = measurable(config, Digits(), [said])
        assert set(config.metric) - set(kept) == NEEDS_JUDGE
    with_judge = RunConfig.of(compose("evaluate")[0])
    assert measurable(with_judge, Digits(), ["metric=[validity]"]) == list(with_judge.metric)
    assert not list(recwarn)


def test_auto_encoders_that_are_not_trained_leave_out_what_needs_them(compose: Compose) -> None:
    config = RunConfig.of(compose("evaluate")[0])
    with pytest.warns(CounterfoilWarning, match="im1, im2: needs autoencoder, which is not trained"):
        kept = measurable(config, Digits(), [], ["autoencoder"])
    assert set(config.metric) - set(kept) == {"im1", "im2"}
    assert set(measurable(config, Digits(), ["metric=[im1]"], ["autoencoder"])) == set(config.metric)


@pytest.mark.parametrize("said", ["autoencoder=null", "~generative@autoencoder"])
def test_without_auto_encoders_all_other_metrics_are_kept(compose: Compose, said: str) -> None:
    config = RunConfig.of(compose("evaluate", said)[0])
    with pytest.warns(CounterfoilWarning, match="left out: im1, im2: needs auto-encoders, found none"):
        kept = measurable(config, Digits(), [said])
    assert set(config.metric) - set(kept) == {"im1", "im2"}
    with pytest.raises(UserError, match="metric=im1 needs auto-encoders, found none; choose some"):
        measurable(config, Digits(), [said, "metric=[im1]"])


def test_a_metric_of_a_second_explanation_is_refused_before_the_first(compose: Compose) -> None:
    given = "metric=[validity,reversibility,stability]"
    config = RunConfig.of(compose("evaluate", given, "again=[noise]")[0])
    with pytest.raises(UserError, match=r"metric=reversibility needs a second .*; set again=\[noise,back\]"):
        measurable(config, Digits(), [given])
    with pytest.warns(CounterfoilWarning, match="left out: reversibility: needs a second explanation"):
        assert measurable(config, Digits(), []) == ["validity", "stability"]
    stored = replace(config, counterfactuals=Path("run"))
    assert measurable(stored, Digits(), [given]) == ["validity", "reversibility", "stability"]


def test_a_metric_of_other_images_is_refused_where_there_are_none(compose: Compose) -> None:
    config = RunConfig.of(compose("evaluate", "metric=[validity,fid_judge]")[0])
    assert measurable(config, Unlabelled(), []) == ["validity"]
    with pytest.raises(
        UserError, match="metric=fid_judge needs other images or labels, data=images has the queries alone"
    ):
        measurable(config, Unlabelled(), ["metric=[validity,fid_judge]"])
    assert measurable(config.measuring([]), Unlabelled(), ["metric=[]"]) == []


def test_metrics_of_texts_and_of_images_refuse_the_other(compose: Compose) -> None:
    """In one line where they were requested; left out with a warning where a preset chose them."""
    config = RunConfig.of(compose("evaluate", "metric=[validity,sparsity,token_edit]")[0])
    assert measurable(config, Digits(), []) == ["validity", "sparsity"]
    assert measurable(config, Sentences(), []) == ["validity", "token_edit"]
    with pytest.raises(UserError, match="metric=token_edit needs texts, data=digits holds images; choose"):
        measurable(config, Digits(), ["metric=[validity,sparsity,token_edit]"])
    with pytest.raises(UserError, match="metric=sparsity needs images, data=toy_texts holds texts; choose"):
        measurable(config, Sentences(), ["metric=[validity,sparsity,token_edit]"])
