"""Reads files of weights without unpickling code, on the CPU first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from counterfoil.core.errors import UserError, first_line
from counterfoil.util.finite import refuse_broken

NESTS = ("state_dict", "model_state_dict", "model", "net")
PREFIXES = ("", "net.", "model.", "module.", "net.net.", "classifier.", "model.net.", "_orig_mod.")


def load_weights(net: nn.Module, path: Path | str) -> None:
    """Load safetensors or a `weights_only` state dict into `net`, in place.

    A Lightning checkpoint's "state_dict" and common prefixes of names ("net.", "model.") are understood.
    Weights that the network names in `training_only` are left as they are.

    Raises:
        UserError: for a missing or damaged file, and for weights of another architecture.
    """
    weights = read_state(path)
    wanted = kept(net)
    candidates = [
        {key.removeprefix(p): value for key, value in weights.items() if key.startswith(p)} for p in PREFIXES
    ]
    chosen = max(candidates, key=lambda state: len(state.keys() & wanted.keys()))
    _check(net, wanted, {key: value for key, value in chosen.items() if not _unkept(net, key)}, path)
    net.load_state_dict({key: chosen[key] for key in wanted}, strict=False)
    refuse_broken(net, f"checkpoint {path}", "its training diverged: train it anew with a lower lr")


def kept(net: nn.Module) -> dict[str, Tensor]:
    """The weights that a file keeps: all but those that the network names in `training_only`."""
    return {key: value for key, value in net.state_dict().items() if not _unkept(net, key)}


def _unkept(net: nn.Module, name: str) -> bool:
    return name.startswith(tuple(getattr(net, "training_only", ())))


def read_state(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a torch file read with `weights_only=True`, on the CPU."""
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"checkpoint {path} does not exist; check classifier.checkpoint or train the model with train.py"
        )
    try:
        loaded: Any = (
            load_file(str(path))
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise UserError(
            f"checkpoint {path} is damaged or not a file of weights: {first_line(error)}"
        ) from error
    except Exception as error:
        if "weights" not in str(error).lower() and "pickle" not in type(error).__name__.lower():
            raise
        raise UserError(
            f"checkpoint {path} holds more than tensors and is not unpickled; save model.state_dict() with "
            "torch.save, or safetensors"
        ) from error
    for nest in NESTS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(nest), Mapping):
            loaded = loaded[nest]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise UserError(
            f"checkpoint {path} holds a {type(loaded).__name__}, expected a state dict of tensors"
        )
    return dict(loaded)


def load_program(path: Path | str) -> nn.Module | None:
    """The network of a TorchScript or torch.export file, on the CPU; None for any other file."""
    path = Path(path)
    if path.suffix == ".pt2":
        return _attempt(lambda: _Program(torch.export.load(path).module()), path)
    if path.suffix in (".pt", ".pth", ".ts", ".torchscript", ".jit") and _is_script(path):
        return _attempt(lambda: torch.jit.load(str(path), map_location="cpu"), path)
    return None


class _Program(nn.Module):
    """An exported program, which refuses `train` and `eval`: it has no modes."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def train(self, mode: bool = True) -> _Program:
        return self

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.program(x)
        return outputs


def _is_script(path: Path) -> bool:
    import zipfile

    return zipfile.is_zipfile(path) and any("/code/" in name for name in zipfile.ZipFile(path).namelist())


def _attempt(load: Any, path: Path) -> nn.Module:
    try:
        module: nn.Module = load()
    except Exception as error:
        raise UserError(
            f"checkpoint {path} is damaged or of another torch version: {first_line(error)}"
        ) from error
    return module


def _check(
    net: nn.Module, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path | str
) -> None:
    missing = sorted(wanted.keys() - found.keys())
    surplus = sorted(found.keys() - wanted.keys())
    shapes = [
        f"{key} is {tuple(found[key].shape)}, expected {tuple(wanted[key].shape)}"
        for key in sorted(wanted.keys() & found.keys())
        if found[key].shape != wanted[key].shape
    ]
    for problem, names in (("lacks", missing), ("has in addition", surplus), ("differs in shape:", shapes)):
        if names:
            more = f" and {len(names) - 2} more" if len(names) > 2 else ""
            raise UserError(
                f"checkpoint {path} is of another architecture than {type(net).__name__}: it {problem} "
                f"{', '.join(names[:2])}{more}; check the options of net (width, stages, classes) "
                "or choose the checkpoint's own network"
            )
