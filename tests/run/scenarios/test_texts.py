"""A person's own texts and text classifier, by overrides alone."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

from tests.bench import composed

GOOD = ("great", "lovely", "superb")
BAD = ("awful", "boring", "poor")
REST = ("film", "plot", "actor", "story", "ending", "music")
READER = """
import torch
from torch import nn


class Bag(nn.Module):
    def __init__(self, tokens, classes, width):
        super().__init__()
        self.words = nn.Linear(tokens, width)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.words(x[:, 0]).mean(1))
"""
TINY = (
    "data=text_csv", "data.csv=texts.csv", "data.length=6", "data.batch_size=32",
    "train_missing=true", "logger=none", "store=store", "n=8", "batch_size=8",
)  # fmt: skip
READ_ALONE = (
    "judge=null", "autoencoder=null", "explainer=[hotflip,nearest]", "metric=[validity,token_edit]"
)  # fmt: skip


@pytest.fixture
def sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 300 sentences, each with one word of praise or blame, in a table."""
    monkeypatch.chdir(tmp_path)
    draw = random.Random(0)
    with Path("texts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("text", "label"))
        for i in range(300):
            words = [draw.choice(GOOD if i % 2 else BAD), *draw.sample(REST, draw.randint(2, 4))]
            draw.shuffle(words)
            rows.writerow((" ".join(words), "praise" if i % 2 else "blame"))
    return tmp_path


def evaluated(folder: Path, *overrides: str) -> dict[str, dict[str, float]]:
    from counterfoil.run.evaluate import evaluate

    given = [*TINY, *overrides]
    config, choices = composed("evaluate", *given)
    evaluate(config, folder, choices, given)
    methods = json.loads((folder / "metrics.json").read_text())["methods"]
    return {name: {key: entry["value"] for key, entry in row.items()} for name, row in methods.items()}


def changed(folder: Path, method: str) -> list[tuple[str, str]]:
    with (folder / "texts.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == method]
    return [(row["factual"], row["counterfactual"]) for row in rows]


def test_own_texts_by_overrides_alone(sentences: Path) -> None:
    found = evaluated(
        sentences / "run", "experiment=text", "classifier.training.epochs=6", "judge.training.epochs=6",
        "generative.net.latent=4", "generative.net.width=16", "generative.net.depth=1",
        "generative.training.epochs=8", "generative.training.lr=1e-2",
        "explainer=[aip,hotflip,nearest]", "~explainer.aip_code", "~explainer.aip_attributes",
        "metric=[success,token_edit]",
    )  # fmt: skip
    assert list(found) == ["aip", "hotflip", "nearest"]
    assert found["hotflip"]["validity"] == found["nearest"]["validity"] == 1
    assert 0 < found["hotflip"]["token_edit"] <= found["nearest"]["token_edit"]
    assert found["hotflip"]["judge_agreement"] > 0.5
    for before, after in changed(sentences / "run", "hotflip"):
        assert before != after
        assert len(before.split()) == len(after.split())


def test_an_own_text_network_by_overrides_alone(sentences: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sentences / "own_reader.py").write_text(READER)
    monkeypatch.syspath_prepend(str(sentences))
    found = evaluated(
        sentences / "run", *READ_ALONE, "classifier=custom", "classifier.net._target_=own_reader.Bag",
        "+classifier.net.width=8", "classifier.training.epochs=10", "classifier.training.lr=3e-2",
    )  # fmt: skip
    assert found["hotflip"]["validity"] == 1


def test_a_saved_transformer_by_overrides_alone(sentences: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *REST]
    (sentences / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizer(str(sentences / "vocab.txt")).save_pretrained("bert")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = transformers.BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, num_labels=2, initializer_range=1.0,
            id2label={0: "blame", 1: "praise"}, label2id={"blame": 0, "praise": 1},
        )  # fmt: skip
        transformers.BertForSequenceClassification(config).save_pretrained("bert")
    found = evaluated(
        sentences / "run",
        *READ_ALONE,
        "classifier=huggingface_text",
        "classifier.path=bert",
        "confidence=0.5",
    )
    assert found["nearest"]["validity"] == 1
    assert found["hotflip"]["token_edit"] < found["nearest"]["token_edit"]
