"""Models as Python objects: of a run, of a store's file, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.core.errors import UserError
from counterfoil.generative.vae import VAE
from counterfoil.run.load import load_classifier, load_generator


def weights(net: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in net.state_dict().values()])


def test_a_name_a_file_and_a_run_give_the_same_models(bench: Any, finished: tuple[Path, Any]) -> None:
    folder, summary = finished
    given = ["logger=none", *bench.models, f"store={bench.store}"]
    named = load_classifier("cnn", *given)
    (file,) = bench.store.glob("digits-classifier-cnn-*.safetensors")
    of_file = load_classifier(file, "data.limit=150")
    of_run = load_classifier(folder)
    assert isinstance(named, Classifier)
    assert not named.training
    assert named.class_names == of_file.class_names == of_run.class_names == tuple("0123456789")
    x = torch.rand(3, 1, 28, 28)
    assert torch.equal(named(x), of_file(x))
    assert torch.equal(named(x), of_run(x))
    judge = load_classifier(folder, role="judge")
    assert type(judge.net).__name__ == "ResNet"
    vae = load_generator("vae", *given)
    assert isinstance(vae, VAE)
    (file,) = bench.store.glob("digits-generative-vae-*.safetensors")
    assert torch.equal(weights(vae), weights(load_generator(file, "data.limit=150")))
    assert file.name in {path.name for path in bench.store.iterdir()}
    assert summary["queries"]


def test_a_program_needs_no_recipe(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    torch.jit.trace(net, torch.rand(1, 1, 28, 28)).save(tmp_path / "net.pt")
    classifier = load_classifier(
        tmp_path / "net.pt", "classifier.mean=0", "classifier.std=1", "data.limit=50"
    )
    x = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(classifier(x), net(x))


@pytest.mark.parametrize(
    ("source", "given", "told"),
    [
        ("no/such.pt", [], "no/such.pt is neither a run folder (with config.yaml) nor a file of weights"),
        ("cnn", ["store=nowhere"], "no weights at nowhere/digits-classifier-cnn-"),
    ],
)
def test_what_is_not_there_is_told(source: str, given: list[str], told: str) -> None:
    with pytest.raises(UserError) as caught:
        load_classifier(source, *given)
    assert told in str(caught.value)
