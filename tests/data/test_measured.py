"""What can be measured of a text."""

from __future__ import annotations

import pytest
import torch

from counterfoil.data.measured import MEASURED, measured
from counterfoil.data.vocabulary import Vocabulary

TEXTS = {
    "i liked it": {"first_person"},
    "i've seen better!": {"first_person", "exclamation"},
    "it isn't good?": {"negation", "question"},
    "nobody laughs": {"negation"},
    "the plot and the cast": {"long"},
    "the inn is notable": set(),
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_has_the_attributes_that_its_words_show(text: str) -> None:
    words = Vocabulary.fitted([*TEXTS], 50, 8)
    found = measured(words.encode(text)[None], words.tokens)
    assert found.dtype == torch.uint8
    assert {name for name, shown in zip(MEASURED, found[0].tolist(), strict=True) if shown} == TEXTS[text]
