"""NaN and infinite values at every stage: refused in one line, or a failure that is counted as one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.check import check
from counterfoil.classifier.cnn import CNN
from counterfoil.classifier.resnet import ResNet
from counterfoil.classifier.trust import check_judge
from counterfoil.core.counterfactuals import Counterfactuals, Found
from counterfoil.core.entry import Entry
from counterfoil.core.query import Query
from counterfoil.core.strip import Strip
from counterfoil.data.counterfactuals import read_counterfactuals
from counterfoil.explainer.base import Explainer
from counterfoil.explainer.latent_shift import LatentShift
from counterfoil.explainer.revise import Revise
from counterfoil.generative.attgan.network import AttGAN
from counterfoil.generative.autoencoder import ClassAutoencoders
from counterfoil.generative.exaggeration.network import Exaggerator
from counterfoil.generative.vae import VAE
from counterfoil.metric.agreement import JudgeAgreement
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.metric.proximity import L1
from counterfoil.metric.realism import JudgeKID
from counterfoil.metric.validity import Validity
from counterfoil.testing import TinyClassifier
from counterfoil.util.checkpoint import load_weights
from tests.conftest import Linear
from tests.faults.conftest import Fault
from tests.faults.fault import share

KIND = "not finite"
NAN, INF = float("nan"), float("inf")
BOTH = (NAN, INF)


@pytest.fixture(autouse=True)
def without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# weights

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "classifier": lambda: CNN(classes=3, width=4, stages=2),
    "judge": lambda: ResNet(classes=3, width=4, stages=2),
    "vae": lambda: VAE(1, 16, latent=4, width=4),
    "exaggerator": lambda: Exaggerator(1, 16, 3, bins=4, width=4),
    "attgan": lambda: AttGAN(1, 16, ("Smiling", "Glasses"), width=4),
    "autoencoder": lambda: ClassAutoencoders(1, 16, 3, width=4),
}


@pytest.mark.parametrize(
    ("name", "value"), share([(name, value) for name in NETWORKS for value in BOTH], quick=8)
)
def test_weights(name: str, value: float, fault: Fault, tmp_path: Path) -> None:
    net = NETWORKS[name]()
    with torch.no_grad():
        list(net.parameters())[-1].view(-1)[-1] = value
    save_file(
        {k: v.contiguous().clone() for k, v in net.state_dict().items()}, str(tmp_path / "a.safetensors")
    )
    end = fault(KIND, lambda: load_weights(NETWORKS[name](), tmp_path / "a.safetensors"), None)
    assert end == "refused in one line"


@pytest.mark.parametrize("name", ["mean", "std"])
@pytest.mark.parametrize("value", BOTH)
def test_normalisation(name: str, value: float, fault: Fault) -> None:
    given = {"mean": 0.5, "std": 0.5, name: [0.5, value, 0.5]}
    assert fault(KIND, lambda: Classifier(TinyClassifier(), **given), None) == "refused in one line"


# the classifier and the judge


@pytest.mark.parametrize("value", BOTH)
@pytest.mark.parametrize("judged", [False, True])
def test_logits_before_anything_is_explained(value: float, judged: bool, fault: Fault, toy: Any) -> None:
    """Of one image alone, as a network gives that divides by its contrast."""
    net, batch = TinyClassifier(), toy.test[range(30)]
    odd = Classifier(Blind(net, batch.x[7], value), class_names=("a", "b", "c"))
    good = Classifier(net, class_names=("a", "b", "c"))
    act = (lambda: check_judge(odd, good, batch)) if judged else (lambda: check(odd, batch, 3))
    assert fault(KIND, act, None) == "refused in one line"


class Blind(nn.Module):
    """A classifier whose logits on one image are not finite."""

    def __init__(self, net: nn.Module, image: Tensor, value: float) -> None:
        super().__init__()
        self.net, self.image, self.value = net, image, value

    def forward(self, x: Tensor) -> Tensor:
        same = (x - self.image).abs().flatten(1).amax(1) < 1e-6
        logits: Tensor = self.net(x)
        return torch.where(same[:, None], self.value, logits)


# the search


def bright(dtype: torch.dtype = torch.float64) -> Linear:
    """Class 1 where the sum of the pixels is above 8."""
    weight = torch.stack((torch.full((16,), -1.0), torch.ones(16)))
    return Linear(weight.to(dtype), torch.tensor([16.0, 0.0], dtype=dtype))


class Brightens(Explainer):
    """Sets all pixels to 1, and spoils something of row 1."""

    def __init__(self, classifier: nn.Module, spoil: Callable[[Found], Found]) -> None:
        super().__init__(classifier)
        self.spoil = spoil

    def explain(self, query: Query) -> Found:
        images, steps = torch.ones_like(query.factual), torch.full_like(query.target, 7)
        frames = torch.stack((query.factual, images), 1)
        changes = {"Smiling": steps.double()}
        found = Found(images, steps, steps, Strip(frames), changes, {"z": torch.ones(len(query), 3)})
        return self.spoil(found)


def spoilt(value: Tensor, number: float) -> Tensor:
    changed = value.clone().double()
    changed[1].view(-1)[0] = number
    return changed


SPOILT: dict[str, Callable[[Found, float], Found]] = {
    "counterfactual": lambda f, v: replace(f, counterfactual=spoilt(f.counterfactual, v)),
    "frame": lambda f, v: replace(f, strip=Strip(spoilt(f.strip.images, v))),  # type: ignore[union-attr]
    "change": lambda f, v: replace(f, changes={"Smiling": spoilt(f.changes["Smiling"], v)}),
    "code": lambda f, v: replace(f, extra={"z": spoilt(f.extra["z"], v)}),
}
FAILED = {"failed": [False, True, False], "valid": [True, False, True], "l1": [0.8, 0.8], "steps": [7, 7, 7]}
"""What must come of three images of brightness 0.2 of which the second fails."""


def figures(cf: Counterfactuals) -> dict[str, Any]:
    """What is said of counterfactuals, the judge being one that sees class 1 in all images."""
    judge = Linear(torch.zeros(2, 16).double(), torch.tensor([0.0, 1.0]).double())
    scored = evaluate_metrics({"v": Validity(), "l1": L1(), "j": JudgeAgreement(judge)}, cf)
    assert cf.failed is not None
    assert torch.equal(cf.counterfactual[1], cf.factual[1])
    assert cf.strip is None or not bool(cf.walked[1])
    assert scored.table["j"].tolist() == scored.table["v"].tolist(), "a failure is one for the judge too"
    return {
        "failed": cf.failed.tolist(),
        "valid": scored.table["v"].bool().tolist(),
        "l1": [round(value, 6) for value in scored.table["l1"].tolist() if value == value],
        "steps": cf.steps.tolist(),
    }


@pytest.mark.parametrize(
    ("what", "value"), share([(what, value) for what in SPOILT for value in (NAN, INF, -INF)], quick=8)
)
def test_a_row_of_a_method(what: str, value: float, fault: Fault) -> None:
    method = Brightens(bright(), lambda found: SPOILT[what](found, value))
    x = torch.full((3, 1, 4, 4), 0.2, dtype=torch.float64)
    assert fault(KIND, lambda: figures(method(x, 1)), FAILED) == "survived"


@pytest.mark.parametrize("value", BOTH)
def test_logits_of_a_counterfactual(value: float, fault: Fault) -> None:
    """Of one alone: its second pixel tells it from the others."""
    x = torch.full((3, 1, 4, 4), 0.2, dtype=torch.float64)
    spot = torch.ones_like(x)
    spot[1, 0, 0, 0] = 0.9
    method = Brightens(Blind(bright(), spot[1], value), lambda f: replace(f, counterfactual=spot))
    assert fault(KIND, lambda: figures(method(x, 1)), FAILED) == "survived"


@pytest.mark.parametrize("value", BOTH)
def test_factuals(value: float, fault: Fault) -> None:
    x = torch.full((3, 1, 4, 4), 0.2, dtype=torch.float64)
    x[1, 0, 0, 0] = value
    method = Brightens(bright(), lambda found: found)
    assert fault(KIND, lambda: method(x, 1), None) == "refused in one line"


@pytest.mark.parametrize("method", [LatentShift, Revise])
@pytest.mark.parametrize("value", BOTH)
def test_a_generator_that_diverged_after_it_was_loaded(
    method: Any, value: float, fault: Fault, toy: Any
) -> None:
    """Class 0 is what argmax makes of NaN."""
    vae = VAE(1, 16, latent=4, width=4).eval()
    with torch.no_grad():
        for weight in vae.parameters():
            weight.fill_(value)

    def explained() -> tuple[int, int, int]:
        cf = method(TinyClassifier(), vae)(toy.test[range(8)].x, torch.zeros(8, dtype=torch.int64))
        open_rows = int((cf.source != 0).sum())
        return open_rows, cf.failures, int(cf.valid.sum())

    with torch.no_grad():
        searched = int((TinyClassifier()(toy.test[range(8)].x).argmax(1) != 0).sum())
    assert searched > 0
    assert fault(KIND, explained, (searched, searched, 8 - searched)) == "survived"


# what is stored


def stored(folder: Path, name: str, value: float, ending: str) -> Path:
    """A file of three counterfactuals, one number of which is not finite."""
    x = torch.full((3, 1, 4, 4), 0.2)
    cf = Brightens(bright(torch.float32), lambda found: found)(x, 1)
    tensors = {key: part.clone().contiguous() for key, part in cf.tensors().items()}
    tensors[name] = spoilt(tensors[name], value).float()
    if ending == "npz":
        np.savez(folder / "a.npz", **{key: part.numpy() for key, part in tensors.items() if "." not in key})
        return folder / "a.npz"
    save_file(tensors, str(folder / "a.safetensors"), {"format": "counterfoil.counterfactuals/4"})
    return folder


FIELDS = ("factual", "counterfactual", "target", "query", "factual_logits", "counterfactual_logits")
OURS = (*FIELDS, "strip.images", "strip.logits", "changes.Smiling")
FOREIGN = ("factual", "counterfactual", "target", "query")


@pytest.mark.parametrize(
    ("ending", "name", "value"),
    share(
        [
            *(("safetensors", name, value) for name in OURS for value in BOTH),
            *(("npz", name, value) for name in FOREIGN for value in BOTH),
        ],
        quick=12,
    ),
)
def test_stored_counterfactuals(ending: str, name: str, value: float, fault: Fault, tmp_path: Path) -> None:
    path = stored(tmp_path, name, value, ending)
    end = fault(KIND, lambda: read_counterfactuals(path, bright(torch.float32), (1, 4, 4)), None)
    assert end == "refused in one line"


# figures


class Odd(SampleMetric):
    """A metric of the user's that is not finite in row 0."""

    name = "odd"
    higher_is_better = True

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def score(self, cf: Counterfactuals) -> Tensor:
        return torch.tensor([self.number, 2.0, 4.0])


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_values_of_a_metric(value: float, fault: Fault) -> None:
    cf = Brightens(bright(), lambda found: found)(torch.full((3, 1, 4, 4), 0.2).double(), 1)

    def figure() -> tuple[float | None, int]:
        entry = evaluate_metrics({"odd": Odd(value)}, cf).summary["odd"]
        return entry.value, entry.n

    assert fault(KIND, figure, (3.0, 2)) == "survived"


@pytest.mark.parametrize("value", BOTH)
def test_what_a_judge_says_of_one_counterfactual(value: float, fault: Fault) -> None:
    x = torch.full((3, 1, 4, 4), 0.2).double()
    spot = torch.ones_like(x)
    spot[1, 0, 0, 0] = 0.9
    cf = Brightens(bright(), lambda f: replace(f, counterfactual=spot))(x, 1)
    judge = Blind(bright(), spot[1], value)
    scored: Callable[[], Any] = lambda: evaluate_metrics({"j": JudgeAgreement(judge)}, cf).table["j"].tolist()  # noqa: E731
    assert fault(KIND, scored, [1, 0, 1]) == "survived"


@pytest.mark.parametrize("value", BOTH)
def test_features_of_a_judge(value: float, fault: Fault) -> None:
    class Embeds(nn.Module):
        def embed(self, x: Tensor) -> Tensor:
            features = x.flatten(1)[:, :2].clone()
            return features.masked_fill(features[:, :1] == 0.9, value)

    x = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    spot = x.clone()
    spot[1, 0, 0, 0] = 0.9
    cf = Brightens(bright(), lambda f: f)(x, 1)

    def distance(found: Tensor) -> tuple[float, int]:
        metric = JudgeKID(Embeds(), Real(x))
        entry = evaluate_metrics({"kid": metric}, replace(cf, counterfactual=found)).summary["kid"]
        return round(entry.value or NAN, 9), entry.n

    kept = torch.arange(6) != 1
    metric = JudgeKID(Embeds(), Real(x))
    metric.update(replace(cf, counterfactual=x)[kept])
    assert fault(KIND, lambda: distance(spot), (round(float(metric.compute()), 9), 5)) == "survived"


class Batch:
    def __init__(self, x: Tensor) -> None:
        self.x = x


class Real:
    """Data whose test images are these."""

    def __init__(self, x: Tensor) -> None:
        self.queried = self
        self._x = x

    def __len__(self) -> int:
        return len(self._x)

    def __getitem__(self, rows: Tensor) -> Batch:
        return Batch(self._x[rows])


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_an_entry(value: float, fault: Fault) -> None:
    assert fault(KIND, lambda: Entry(value, value, value).value, None) == "survived"


# trainings


@pytest.mark.parametrize("stage", ["train", "val", "test", "weight"])
def test_a_loss(
    stage: str, fault: Fault, bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left, neither weights nor a state to go on from."""
    from counterfoil.classifier.training import ClassifierTraining as Training

    def spoil(self: Training, *_args: Any) -> None:
        with torch.no_grad():
            next(self.net.parameters()).fill_(NAN)

    measure = Training._measure

    def spoilt_measure(self: Training, outputs: Tensor, batch: Any) -> tuple[Tensor, Tensor]:
        loss, accuracy = measure(self, outputs, batch)
        now = "train" if self.trainer.training else "test" if self.trainer.testing else "val"
        return (loss * NAN if now == stage else loss), accuracy

    if stage == "weight":
        monkeypatch.setattr(Training, "on_train_epoch_end", spoil, raising=False)
    else:
        monkeypatch.setattr(Training, "_measure", spoilt_measure)
    store = tmp_path / "store"
    options = ("classifier=cnn", "classifier.training.epochs=1", "data.limit=20")
    act = lambda: replace(bench, store=store).train(tmp_path / "run", *options)  # noqa: E731
    assert fault(KIND, act, None) == "refused in one line"
    assert not list(store.glob("*classifier*"))
