"""What is asked: a file's questions or a frozen sample, and the pixels that must stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData
from counterfoil.data.queries import QuerySet, from_csv, from_folder, sample
from counterfoil.run.models import Models
from counterfoil.run.store import digest


def questions(node: dict[str, Any], models: Models, classifier: Any) -> QuerySet:
    """The asked questions; a sample is drawn once for its data, classifier, seed and size, and read from then on."""
    if node["queries"] is not None:
        path = Path(node["queries"]).expanduser()
        if path.is_dir():
            return from_folder(path, models.data, classifier, str(node["target"]))
        return from_csv(path, models.data, classifier.class_names)
    key = digest(
        [
            models.data.identity,
            models.fingerprint(node["classifier"]),
            node["seed"],
            node["n"],
            node["target"],
            node["classifier"]["decision"],
        ]
    )
    frozen = models.store.root / "queries" / f"{models.data.name}-{key}.csv"
    if not frozen.is_file():
        sample(models.data, classifier, node["n"], node["seed"], str(node["target"])).save(frozen)
    return _named(from_csv(frozen, models.data, classifier.class_names), models.data)


def _named(asked: QuerySet, data: ImageData) -> QuerySet:
    """Questions whose images are called by their own names, where the data know them."""
    names = data.test_names
    return replace(asked, names=tuple(names[int(place)] for place in asked.names)) if names else asked


def kept_pixels(path: str | None, models: Models) -> Tensor | None:
    """The mask (H, W) bool of an image file, True where it is white; None without one."""
    if path is None:
        return None
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(Path(path).expanduser()) as image:
            pixels = np.asarray(image.convert("L"))
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"mask={path} is not a readable image file ({error})") from error
    if pixels.shape != (models.data.size, models.data.size):
        raise UserError(
            f"mask={path} is {pixels.shape[1]} x {pixels.shape[0]} px, the data are {models.data.size} x {models.data.size}"
        )
    return torch.from_numpy(pixels > 127).to(models.device)
