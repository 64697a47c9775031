"""Words and their numbers."""

from __future__ import annotations

import pytest
import torch

from counterfoil.core.domain import PADDING, UNKNOWN
from counterfoil.core.errors import UserError
from counterfoil.data import vocabulary as module
from counterfoil.data.vocabulary import Vocabulary

TEXTS = ["The plot is good, the cast isn't.", "The END ... (really)!", "the plot"]


def fitted(size: int = 50, length: int = 8) -> Vocabulary:
    return Vocabulary.fitted(TEXTS, size, length)


def test_tokens_are_lowercased_words_and_marks_by_frequency() -> None:
    tokens = fitted().tokens
    assert tokens[:4] == ("<pad>", "<unk>", "the", "plot")
    assert set(tokens[4:]) == {"is", "good", ",", "cast", "isn't", ".", "end", "...", "(", "really", ")", "!"}
    assert len(fitted(size=6)) == 6
    assert fitted().tokens == tokens


def test_texts_are_filled_up_cut_and_counted() -> None:
    words = fitted()
    ids, lengths = words.encode_all([*TEXTS, ""])
    assert lengths.tolist() == [9, 7, 2, 0]
    assert ids.shape == (4, 8)
    assert ids[2].tolist() == [2, 3, *[PADDING] * 6]
    assert (ids[3] == PADDING).all()
    assert (ids[0] != PADDING).all()
    assert words.encode("the dog").tolist()[:3] == [2, UNKNOWN, PADDING]


def test_decoding_gives_the_text_and_leaves_paddings_out() -> None:
    words = fitted(length=9)
    assert words.decode(words.encode(TEXTS[0])) == "the plot is good, the cast isn't."
    assert words.decode(words.encode(TEXTS[1])) == "the end... (really)!"
    assert words.decode(torch.tensor([PADDING, 3, PADDING, 2])) == "plot the"


def test_its_state_makes_the_same_one() -> None:
    words = fitted()
    again = Vocabulary(words.state, 8)
    assert again.tokens == words.tokens
    assert again.state == words.state
    assert torch.equal(again.encode(TEXTS[0]), words.encode(TEXTS[0]))
    assert fitted(size=6).state != words.state


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"tokenizers: pip install 'counterfoil\[text\]'"):
        fitted()
