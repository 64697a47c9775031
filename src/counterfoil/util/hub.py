"""Models by their name on the Hugging Face hub, as the folder that they are downloaded to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from counterfoil.core.errors import UserError, first_line
from counterfoil.util.extra import optional

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""A name on the hub: OWNER/MODEL."""
ENDINGS = tuple(
    f".{end}"
    for end in ["safetensors", "pt", "pth", "ckpt", "pt2", "ts", "torchscript", "jit", "onnx", "bin", "json"]
)
"""Of files, which are no names."""


def on_hub(path: str) -> bool:
    """Whether a path that is not there may be a name on the hub."""
    return bool(NAME.fullmatch(path)) and Path(path).suffix not in ENDINGS


def folder_of(path: str, files: Sequence[str], install: str) -> Path:
    """A folder; else the one with these files of the model on the hub that the path names.

    Neither code nor pickles are asked for. What was downloaded once is not again.

    Args:
        path: a folder, or OWNER/MODEL.
        files: patterns of the files that are needed.
        install: what pip installs to have the hub's library.

    Raises:
        UserError: neither a folder nor a model that the hub, or what was downloaded of it, has.
    """
    place = Path(path).expanduser()
    if place.exists() or not on_hub(path):
        return place
    what = f"path={path}"
    hub = optional("huggingface_hub", what, install)
    try:
        return Path(hub.snapshot_download(path, allow_patterns=list(files)))
    except Exception as error:
        raise UserError(
            f"{what} is no folder here, and the hub does not give it ({first_line(error)[:160]}); give the "
            "folder of a model, or a name of the hub while it can be reached"
        ) from error
