"""A small BERT with random weights and its tokenizer, entered at the embeddings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.huggingface_text import HuggingFaceText
from counterfoil.core.errors import UserError
from counterfoil.explainer.hotflip import HotFlip
from counterfoil.testing.texts import TEXTS, TOKENS, texts

transformers = pytest.importorskip("transformers")
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bert")
    (place / "vocab.txt").write_text("\n".join([*SPECIAL, *TOKENS[2:]]))
    transformers.BertTokenizer(str(place / "vocab.txt")).save_pretrained(place)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=len(SPECIAL) + len(TOKENS) - 2,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            num_labels=2,
            initializer_range=1.0,
        )
        transformers.BertForSequenceClassification(config).save_pretrained(place)
    return place


def test_hard_texts_have_the_logits_of_the_model_itself(folder: Path) -> None:
    """Of a text without padding, as the tokenizer writes it."""
    net = HuggingFaceText(folder, TOKENS).eval()
    x = texts(6).float()
    full = x[(x[..., 0].sum((1, 2)) == 0)]
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    model = transformers.BertForSequenceClassification.from_pretrained(folder).eval()
    written = [" ".join(words) for words in TEXTS.words(full)]
    with torch.no_grad():
        expected = model(**tokenizer(written, return_tensors="pt")).logits
        torch.testing.assert_close(net(full), expected, rtol=1e-4, atol=1e-5)
        assert not torch.equal(net(x)[0], net(x.flip(0))[0])


def test_methods_follow_its_gradients(folder: Path) -> None:
    classifier = Classifier(HuggingFaceText(folder, TOKENS))
    classifier.domain = TEXTS
    found = HotFlip(classifier, flips=5)(texts(4).float())
    assert bool(found.valid.any())


def test_what_is_no_text_classifier_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="is not read as a text classifier"):
        HuggingFaceText(tmp_path, TOKENS)
    with pytest.raises(UserError, match="reads texts"):
        HuggingFaceText(folder)
