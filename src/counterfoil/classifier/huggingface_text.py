"""Text classifiers that transformers saved: `classifier=huggingface_text classifier.path=FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.classifier.huggingface import INSTALL, read_pretrained
from counterfoil.core.domain import PADDING, UNKNOWN
from counterfoil.core.errors import UserError
from counterfoil.util.hub import folder_of

FILES = ("config.json", "tokenizer*", "vocab*", "special_tokens_map.json", "model*.safetensors*")
"""What is downloaded of a model on the hub."""


class HuggingFaceText(nn.Module):
    """A text classifier, entered at its embeddings: inputs_embeds = x W, so that texts may be soft.

    W (V, D) holds an embedding for each token of the data's vocabulary: that of the folder's own tokenizer,
    the mean where it cuts a word into several pieces. Special tokens stand around the text as the tokenizer
    puts them, and padding is masked. The folder's tokenizer and weights are read, and no code of it is run.

    Args:
        path: what `save_pretrained` of model and tokenizer wrote, or the name of a model on the hub.
        words: the data's tokens, padding and unknown word first.

    Raises:
        UserError: no folder of a text classifier with its tokenizer, or data without words.
    """

    normalises = True
    table: Tensor
    first: Tensor
    last: Tensor

    def __init__(self, path: Path | str, words: Sequence[str] = ()) -> None:
        super().__init__()
        what = f"classifier.path={path}"
        if not words:
            raise UserError("classifier=huggingface_text reads texts; choose data=reviews or data=text_csv")
        net, tokenizer = read_pretrained(
            Path(path),
            what,
            "a text classifier with its tokenizer",
            "AutoModelForSequenceClassification",
            "AutoTokenizer",
        )
        self.net = net
        own = net.get_input_embeddings().weight.detach()
        self.register_buffer("table", _table(tokenizer, own, words), persistent=False)
        ids = tokenizer(tokenizer.unk_token)["input_ids"]
        at = ids.index(tokenizer.unk_token_id)
        self.register_buffer("first", own[ids[:at]].clone(), persistent=False)
        self.register_buffer("last", own[ids[at + 1 :]].clone(), persistent=False)

    @staticmethod
    def find(path: str) -> Path:
        """The folder that a path or a name on the hub stands for."""
        return folder_of(path, FILES, INSTALL)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of texts (B, 1, L, V)."""
        rows = x[:, 0] @ self.table
        seen = x[:, 0, :, PADDING] < 0.5
        around = [part.expand(len(x), -1, -1) for part in (self.first, self.last)]
        shown = [seen.new_ones(len(x), part.shape[1]) for part in around]
        logits: Tensor = self.net(
            inputs_embeds=torch.cat((around[0], rows, around[1]), dim=1),
            attention_mask=torch.cat((shown[0], seen, shown[1]), dim=1).long(),
        ).logits
        return logits


def _table(tokenizer: Any, own: Tensor, words: Sequence[str]) -> Tensor:
    """An embedding (V, D) for each word."""
    rows = []
    for place, word in enumerate(words):
        pieces = [] if place in (PADDING, UNKNOWN) else tokenizer.encode(word, add_special_tokens=False)
        special = tokenizer.pad_token_id if place == PADDING else tokenizer.unk_token_id
        rows.append(own[pieces or [special]].mean(0))
    return torch.stack(rows)
