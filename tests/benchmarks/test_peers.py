"""The comparison with other tools, without their environment: the transplant, their files, the table."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.cnn import CNN
from counterfoil.core.entry import Entry
from counterfoil.data.counterfactuals import read_counterfactuals

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"
OWN = ("networks", "theirs", "questions", "peers", "timing")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a module of benchmarks/peers/ by its name; none stays behind."""
    monkeypatch.syspath_prepend(str(PEERS.parent))
    monkeypatch.syspath_prepend(str(PEERS))
    for name in OWN:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in OWN:
        sys.modules.pop(name, None)


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    net = CNN(channels=1, classes=10, width=4)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
    return Classifier(net.eval(), mean=0.13, std=0.31)


def questions_of(classifier: Classifier) -> dict[str, np.ndarray]:
    """What questions.npz holds, for five drawn images."""
    check = torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8)
    with torch.no_grad():
        logits = classifier(check.float() / 255)
    return {
        "factual": (check.float() / 255).numpy(),
        "target": logits.topk(2).indices[:, 1].numpy(),
        "check": check.numpy(),
        "check_logits": logits.numpy(),
        "train": check.numpy(),
        "mean": np.float32(0.13),
        "std": np.float32(0.31),
        **{name: value.numpy() for name, value in classifier.net.state_dict().items()},
    }


def test_a_transplant_has_our_logits(load: Callable[[str], ModuleType], classifier: Classifier) -> None:
    networks, questions = load("networks"), questions_of(classifier)
    x = torch.from_numpy(questions["factual"])
    theirs = networks.in_torch(questions)(x).numpy()
    assert networks.check_equal(questions["check_logits"], theirs, "torch") <= networks.TOLERANCE
    with pytest.raises(AssertionError, match="torch: logits differ"):
        networks.check_equal(questions["check_logits"], theirs + 1e-3, "torch")


class Halves:
    """Another tool: it turns one image, finds nothing for the next, and then has spent its budget."""

    difference = 0.0

    def __init__(self, questions: dict[str, np.ndarray], folder: Path) -> None:
        self.x = questions["factual"]

    def ask(self, name: str, budget: float) -> dict[str, np.ndarray]:
        return {"counterfactual": np.stack([1.2 - self.x[0], self.x[1]]), "seconds": np.array([0.5, budget])}


def test_what_another_tool_leaves_is_graded_by_our_classifier(
    load: Callable[[str], ModuleType],
    classifier: Classifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs, questions = load("theirs"), questions_of(classifier)
    np.savez(tmp_path / "questions.npz", **questions)
    monkeypatch.setattr(theirs, "METHODS", {"halves": Halves})
    monkeypatch.setattr(theirs, "versions", dict)
    theirs.main(["halves", str(tmp_path), "--budget", "2"])
    (batches,) = read_counterfactuals(tmp_path / "halves.npz", classifier, (1, 28, 28)).values()
    (cf,) = list(batches)
    assert cf.seconds.tolist() == [0.5, 2.0]
    assert cf.target.tolist() == questions["target"][:2].tolist()
    assert cf.counterfactual.max() <= 1
    with torch.no_grad():
        graded = classifier(cf.counterfactual)
    assert torch.allclose(cf.counterfactual_logits, graded, atol=1e-5)
    assert not cf.valid[1]  # the factual, which is what a tool that finds nothing returns


def entries(seconds: float, n: int) -> dict[str, Any]:
    names = ("validity", "judge_agreement", "l1_valid", "im1_valid")
    return {**{name: Entry(1.0, n=n) for name in names}, "seconds": Entry(seconds, n=n)}


def test_the_table_says_how_many_times_cheaper(load: Callable[[str], ModuleType]) -> None:
    peers = load("peers")
    graded = {"cfproto": entries(6.0, 20), "revise_margin_0999": entries(0.02, 256)}
    rows = dict(peers.rows(graded))
    assert list(rows) == ["alibi CFProto", "revise, margin, 0.999"]
    assert rows["revise, margin, 0.999"]["ratio"].value == pytest.approx(300)
    assert rows["alibi CFProto"]["n"].value == 20
    assert list(rows["alibi CFProto"]) == list(peers.COLUMNS)


def test_every_row_is_a_method_of_ours_with_a_file_of_its_own(load: Callable[[str], ModuleType]) -> None:
    peers, theirs = load("peers"), load("theirs")
    assert list(peers.THEIRS) == list(theirs.METHODS)
    files = [*theirs.METHODS, *map(peers.file_of, peers.OURS)]
    assert len(set(files)) == len(files)
    for method, *overrides in peers.OURS.values():
        assert method in peers.composed(overrides).explainer


def test_the_published_command_holds_the_options(load: Callable[[str], ModuleType]) -> None:
    told = load("peers").command_line(["data.root=/here", "store=weights", "--budget", "40"])
    assert told == 'make peers DATA=FOLDER STORE=weights PEERS="--budget 40"'
