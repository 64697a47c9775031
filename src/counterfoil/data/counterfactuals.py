"""Reads counterfactuals of an earlier run or of another tool."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals, unknown_costs
from counterfoil.core.errors import UserError, first_line

NEEDED = ("factual", "counterfactual", "target")


def read_counterfactuals(
    path: Path, classifier: nn.Module, size: tuple[int, int, int]
) -> dict[str, Counterfactuals]:
    """Counterfactuals by method, graded afresh by this classifier.

    Args:
        path: a run folder, a folder of *.safetensors of one method, or one npz or safetensors file.
        classifier: maps images in [0, 1] to logits.
        size: (C, H, W) of the data.

    Raises:
        UserError: for a missing, damaged or incomplete file, a wrong shape, or values outside [0, 1].
    """
    if not path.exists():
        raise UserError(
            f"counterfactuals={path} does not exist; give a run folder, or an npz or safetensors file"
        )
    if path.is_file():
        return {path.stem: _graded(_read_file(path), classifier, size, path)}
    folders = sorted(p for p in (path / "counterfactuals").glob("*") if p.is_dir()) or [path]
    methods = {folder.name: sorted(folder.glob("*.safetensors")) for folder in folders}
    if not any(methods.values()):
        raise UserError(
            f"counterfactuals={path} holds no *.safetensors; expected a run folder of evaluate.py or a file"
        )
    return {
        name: _graded(
            Counterfactuals.cat([Counterfactuals.load(file) for file in files]), classifier, size, path
        )
        for name, files in methods.items()
        if files
    }


def _read_file(path: Path) -> Counterfactuals:
    tensors = _read_tensors(path)
    missing = [name for name in NEEDED if name not in tensors]
    if missing:
        raise UserError(
            f"counterfactuals={path} lacks {', '.join(missing)}; "
            f"expected arrays {', '.join(NEEDED)}, found {', '.join(sorted(tensors))}"
        )
    factual, counterfactual = (_images(tensors[name], name, path) for name in NEEDED[:2])
    target = _whole_numbers(tensors["target"], "target", path)
    if factual.shape != counterfactual.shape or len(target) != len(factual):
        raise UserError(
            f"counterfactuals={path}: shapes differ: factual {tuple(factual.shape)}, "
            f"counterfactual {tuple(counterfactual.shape)}, target {tuple(target.shape)}"
        )
    costs: dict[str, Any] = {
        name: tensors[name].double() if name in tensors else value
        for name, value in unknown_costs(len(target)).items()
    }
    query = (
        _whole_numbers(tensors["query"], "query", path) if "query" in tensors else torch.arange(len(target))
    )
    for name, column in {**costs, "query": query}.items():
        if column.shape != target.shape:
            raise UserError(
                f"counterfactuals={path}: {name} has shape {tuple(column.shape)}, "
                f"expected one number for each of {len(target)} rows"
            )
    nothing = factual.new_zeros(len(target), 2)
    return Counterfactuals(factual, counterfactual, target, nothing, nothing, query, **costs)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(str(path))
        if path.suffix == ".npz":
            return {name: torch.from_numpy(array) for name, array in _arrays(path).items()}
    except (SafetensorError, OSError, ValueError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise UserError(
            f"counterfactuals={path} is damaged or no {path.suffix} file: {first_line(error)}"
        ) from error
    raise UserError(
        f"counterfactuals={path}: expected an npz or safetensors file, found {path.suffix or 'no ending'}"
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays that we read; others, such as names, are left alone."""
    with np.load(path, allow_pickle=False) as arrays:
        return {
            name: np.asarray(arrays[name])
            for name in arrays.files
            if name in (*NEEDED, "query", *unknown_costs(0))
        }


def _whole_numbers(values: Tensor, name: str, path: Path) -> Tensor:
    whole = values.flatten()
    if (whole.is_floating_point() and not torch.equal(whole, whole.round())) or (
        name == "query" and bool((whole < 0).any())
    ):
        raise UserError(
            f"counterfactuals={path}: {name} holds {values.dtype} that are no indices, "
            "expected whole numbers from 0"
        )
    return whole.long()


def _images(values: Tensor, name: str, path: Path) -> Tensor:
    values = values[:, None] if values.ndim == 3 else values
    if not values.numel():
        raise UserError(f"counterfactuals={path}: {name} is empty, expected at least one image")
    low, high = float(values.min()), float(values.max())
    if not (values.is_floating_point() and low >= 0 and high <= 1):
        raise UserError(
            f"counterfactuals={path}: {name} holds {values.dtype} in [{low:g}, {high:g}], "
            "expected floats in [0, 1]; divide 8-bit images by 255, or map [-1, 1] by (x + 1) / 2"
        )
    return values.float()


def _graded(
    cf: Counterfactuals, classifier: nn.Module, size: tuple[int, int, int], path: Path
) -> Counterfactuals:
    if tuple(cf.factual.shape[1:]) != size:
        raise UserError(
            f"counterfactuals={path}: images are {tuple(cf.factual.shape[1:])} (channels, height, width), "
            f"the data are {size}"
        )
    factual_logits, counterfactual_logits = (
        _logits(classifier, images) for images in (cf.factual, cf.counterfactual)
    )
    classes = factual_logits.shape[1]
    if int(cf.target.min()) < 0 or int(cf.target.max()) >= classes:
        raise UserError(
            f"counterfactuals={path}: targets lie in {int(cf.target.min())}..{int(cf.target.max())}, "
            f"expected 0..{classes - 1}"
        )
    return replace(
        cf,
        factual_logits=factual_logits,
        counterfactual_logits=counterfactual_logits,
        strip=None if cf.strip is None else cf.strip.graded(partial(_logits, classifier)),
    )


def _logits(classifier: nn.Module, images: Tensor) -> Tensor:
    reference = next((p for p in classifier.parameters()), torch.zeros(1))
    with torch.no_grad():
        return torch.cat([classifier(part.to(reference)).cpu() for part in images.split(256)])
