"""Reads files of weights without unpickling code, on the CPU first."""

from __future__ import annotations

import hashlib
import logging
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, load_file
from torch import Tensor, nn

from counterfoil.core.errors import CounterfoilWarning, UserError, first_line
from counterfoil.util.archive import open_zip
from counterfoil.util.command import named
from counterfoil.util.finite import refuse_broken
from counterfoil.util.matching import match
from counterfoil.util.record import read_json

log = logging.getLogger("counterfoil")


def load_weights(net: nn.Module, path: Path | str, prefix: str | None = None) -> None:
    """Load safetensors or a `weights_only` state dict into `net`, in place.

    The weights may lie in nested dicts and under a prefix of names, as in a Lightning checkpoint. What the
    file has beside them is left, with a note. Weights that the network names in `training_only` are left as
    they are.

    Args:
        net: the network.
        path: the file.
        prefix: what stands before the names of the weights, where several sets fit; None: whichever fits.

    Raises:
        UserError: for a missing or damaged file, and for weights that do not fit.
    """
    wanted = {key: value for key, value in net.state_dict().items() if isinstance(value, Tensor)}
    optional = {key for key in wanted if _unkept(net, key)}
    found = match(wanted, read_state(path), f"checkpoint {path}", type(net).__name__, optional, prefix)
    _note_surplus(net, found.surplus, path)
    net.load_state_dict({key: found.state[key] for key in found.state.keys() - optional}, strict=False)
    refuse_broken(net, f"checkpoint {path}", "its training diverged: train it anew with a lower lr")


def kept(net: nn.Module) -> dict[str, Tensor]:
    """The weights that a file keeps: all but those that the network names in `training_only`."""
    return {key: value for key, value in net.state_dict().items() if not _unkept(net, key)}


def _unkept(net: nn.Module, name: str) -> bool:
    return name.startswith(tuple(getattr(net, "training_only", ())))


def _note_surplus(net: nn.Module, surplus: Mapping[str, Tensor], path: Path | str) -> None:
    """Say what is left out: weights of a loss and counts of a metric, or layers that the network lacks."""
    layers = [key for key, value in surplus.items() if value.ndim > 1]
    names = layers or list(surplus)
    if not names:
        return
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    line = f"checkpoint {path}: left out {', '.join(names[:3])}{more}, which {type(net).__name__} has not"
    if layers:
        fix = "if they are layers, give net the class and options that the file was saved from"
        warnings.warn(f"{line}; {fix}", CounterfoilWarning, stacklevel=3)
    else:
        log.info(line)


def read_state(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a torch file read with `weights_only=True`, on the CPU.

    Names in nested dicts follow those of the dicts, as in "state_dict/net.0.weight". Where a manifest beside
    the file notes a sha256, the file must have it; it is read once for both.

    Raises:
        UserError: for a missing or damaged file, and for one that holds no tensors, or more than values.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"checkpoint {path} does not exist; check classifier.checkpoint or train the model with "
            f"{named('train')}"
        )
    sha256 = read_manifest(path).get("sha256")
    content = None if sha256 is None else _verified(path, sha256)
    try:
        loaded: Any = load_torch(path) if path.suffix != ".safetensors" else _load(path, content)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"checkpoint {path} is damaged or holds more than tensors, and nothing is unpickled; save "
            "model.state_dict() with torch.save, or safetensors"
        ) from error
    except Exception as error:
        raise UserError(
            f"checkpoint {path} is damaged or not a file of weights: {first_line(error)}"
        ) from error
    found = dict(_tensors(loaded))
    if not found:
        raise UserError(
            f"checkpoint {path} holds a {type(loaded).__name__} without tensors by name, "
            "expected a state dict of tensors"
        )
    return found


def read_manifest(weights: Path) -> dict[str, Any]:
    """What was noted at the training of a safetensors file; {} where no manifest lies beside it.

    Raises:
        UserError: a manifest that is damaged.
    """
    path = weights.with_suffix(".json")
    if weights.suffix != ".safetensors" or not path.is_file():
        return {}
    return read_json(path, "manifest of a model; train it again with overwrite=true")


def _verified(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be read ({error}); get it anew") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise UserError(
            f"checkpoint {path} has sha256 {found[:10]}..., its manifest {path.stem}.json notes "
            f"{str(sha256)[:10]}...: one of them is damaged or of another training; get both files anew, or "
            "train with overwrite=true"
        )
    return content


def _load(path: Path, content: bytes | None) -> dict[str, Tensor]:
    return load_file(str(path)) if content is None else load(content)


def load_torch(path: Path) -> Any:
    """The content of a torch file, read with `weights_only=True`, on the CPU; raises what torch raises."""
    if zipfile.is_zipfile(path):
        with open_zip(path):
            pass
    return torch.load(path, map_location="cpu", weights_only=True)


def _tensors(value: Any, before: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Tensor]]:
    """Tensors of nested dicts with their names, each dict once: a file may hold one that contains itself."""
    seen = set() if seen is None else seen
    if isinstance(value, Mapping) and id(value) not in seen:
        seen.add(id(value))
        for key, part in value.items():
            if isinstance(part, Tensor):
                yield f"{before}{key}", part
            else:
                yield from _tensors(part, f"{before}{key}/", seen)
