"""Reads counterfactuals of an earlier run or of another tool."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from counterfoil.core.batches import Batches
from counterfoil.core.counterfactuals import FORMAT, Counterfactuals, assemble, metadata_of, unknown_costs
from counterfoil.core.errors import CounterfoilWarning, UserError, first_line
from counterfoil.core.stored import COSTS, LOGITS, check_queries, checked
from counterfoil.util.archive import read_arrays

NEEDED = ("factual", "counterfactual", "target")


def read_counterfactuals(
    path: Path, classifier: nn.Module, size: tuple[int, int, int], known: int = 0
) -> dict[str, Batches]:
    """Counterfactuals by method, graded afresh by this classifier whenever a file is read.

    Args:
        path: a run folder, a folder of *.safetensors of one method, or one npz or safetensors file.
        classifier: maps images in [0, 1] to logits.
        size: (C, H, W) of the data.
        known: how many images the data can ask about; `query` is below it, or below the number of rows.

    Raises:
        UserError: for a missing, damaged or incomplete file, a wrong shape, or values outside [0, 1].
    """
    if not path.exists():
        raise UserError(
            f"counterfactuals={path} does not exist; give a run folder, or an npz or safetensors file"
        )
    if path.is_file():
        return {path.stem: _batches([path], classifier, size, path, known)}
    folders = sorted(p for p in (path / "counterfactuals").glob("*") if p.is_dir()) or [path]
    methods = {folder.name: sorted(folder.glob("*.safetensors")) for folder in folders}
    if not any(methods.values()):
        raise UserError(
            f"counterfactuals={path} holds no *.safetensors; expected a run folder of an evaluation or a file"
        )
    return {name: _batches(files, classifier, size, path, known) for name, files in methods.items() if files}


def _batches(
    files: Sequence[Path], classifier: nn.Module, size: tuple[int, int, int], path: Path, known: int
) -> Batches:
    """Files that were all read once, so that what is wrong with one of them is told at once."""
    read = Counterfactuals.load if path.is_dir() else _read_file
    found = Batches(files, lambda file: _graded(read(file), classifier, size, path))
    check_queries(found.query, known, f"counterfactuals={path}")
    return found


def asking(cf: Batches, name: str) -> Batches:
    """The rows that ask for another class than the factual's, with a warning where others are left out.

    Of corrupted queries all rows stay: their targets are those of the clean images.

    Args:
        cf: graded by the classifier explained.
        name: of the method.

    Raises:
        UserError: no row is left.
    """
    kept = cf.source != cf.target
    if "clean" in cf.like or bool(kept.all()):
        return cf
    if not bool(kept.any()):
        raise UserError(
            f"counterfactuals: each of the {len(cf)} rows of {name} asks for the class that the classifier "
            "already gives its factual; give targets of other classes, numbered as the data's"
        )
    warnings.warn(
        f"counterfactuals: {int((~kept).sum())} of {len(cf)} rows of {name} ask for the class that the "
        "classifier already gives their factual, and are left out",
        CounterfoilWarning,
        stacklevel=2,
    )
    return cf.only(kept)


def read_names(path: Path) -> dict[int, int | str]:
    """What the images of stored queries are called, where their files note it.

    That is `names` among the metadata of a safetensors file, a JSON of names by query, or among the arrays of
    an npz, one per row.
    """
    if path.suffix == ".npz":
        return _names_of_rows(path)
    files = [path] if path.is_file() else sorted(path.glob("counterfactuals/*/*.safetensors"))
    found: dict[int, int | str] = {}
    for file in files or sorted(path.glob("*.safetensors")):
        found = {**_names_in(file), **found}
    return found


def _names_in(file: Path) -> dict[int, int | str]:
    try:
        with safe_open(str(file), framework="pt") as opened:
            noted = json.loads((opened.metadata() or {}).get("names", "{}"))
        return {int(query): name for query, name in noted.items() if isinstance(name, int | str)}
    except (SafetensorError, OSError, ValueError, AttributeError):  # told by its reader, or another tool's
        return {}


def _names_of_rows(path: Path) -> dict[int, int | str]:
    try:
        arrays = read_arrays(path, ("names", "query"))
        names = arrays["names"].tolist()
        query = arrays["query"].tolist() if "query" in arrays else range(len(names))
        return dict(zip(map(int, query), map(str, names), strict=True))
    except Exception:  # told by its reader, or no names of images
        return {}


def _read_file(path: Path) -> Counterfactuals:
    if path.suffix == ".safetensors" and _is_ours(path):
        return Counterfactuals.load(path)
    tensors = _read_tensors(path)
    missing = [name for name in NEEDED if name not in tensors]
    if missing:
        raise UserError(
            f"counterfactuals={path} lacks {', '.join(missing)}; "
            f"expected arrays {', '.join(NEEDED)}, found {', '.join(sorted(tensors))}"
        )
    rows = len(tensors["factual"]) if tensors["factual"].ndim else 0
    given = {name: value for name, value in tensors.items() if name in (*NEEDED, "query", *COSTS)}
    whole = {**unknown_costs(rows), "query": torch.arange(rows), **given}
    read = checked(whole, f"counterfactuals={path}")
    images = {name: read[name].float() for name in NEEDED[:2]}
    costs = {name: read[name].double() for name in COSTS}
    nothing = dict.fromkeys(LOGITS, torch.zeros(rows, 2))
    return assemble({**read, **images, **costs, **nothing})


def _is_ours(path: Path) -> bool:
    """Whether a run wrote the file: then it holds failures, strips and costs too."""
    try:
        return metadata_of(path).get("format", "").startswith(FORMAT.split("/")[0])
    except UserError:  # told by its reader
        return False


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(str(path))
        if path.suffix == ".npz":
            return {name: torch.from_numpy(array) for name, array in _arrays(path).items()}
    except Exception as error:
        raise UserError(
            f"counterfactuals={path} is damaged or no {path.suffix} file: {first_line(error)}"
        ) from error
    raise UserError(
        f"counterfactuals={path}: expected an npz or safetensors file, found {path.suffix or 'no ending'}"
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays that we read; others, such as names, are left alone."""
    return read_arrays(path, (*NEEDED, "query", *unknown_costs(0)))


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
    graded = replace(cf, factual_logits=factual_logits, counterfactual_logits=counterfactual_logits)
    if cf.strip is None or (cf.strip.logits is not None and _same_logits(cf, graded)):
        return graded
    return replace(graded, strip=cf.strip.graded(partial(_logits, classifier)))


def _same_logits(one: Counterfactuals, other: Counterfactuals) -> bool:
    """Whether one classifier gave both logits; then it graded the strip too, before that was rounded."""
    pairs = (
        (one.factual_logits, other.factual_logits),
        (one.counterfactual_logits, other.counterfactual_logits),
    )
    return all(a.shape == b.shape and torch.allclose(a.to(b), b, 1e-4, 1e-4) for a, b in pairs)


def _logits(classifier: nn.Module, images: Tensor) -> Tensor:
    reference = next((p for p in classifier.parameters()), torch.zeros(1))
    with torch.no_grad():
        return torch.cat([classifier(part.to(reference)).cpu() for part in images.split(256)])
