"""Reads networks that are files of their own: TorchScript and torch.export, on the CPU first.

Neither runs Python code of the file. TorchScript's own interpreter runs the network, and its data are read by
torch's C++ reader, which makes tensors, containers and the file's own classes alone; of what the interpreter
can do, only the writing and mapping of files reaches beyond tensors, and a file that names it is refused.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError, first_line
from counterfoil.util.archive import open_zip
from counterfoil.util.exported import copy_exported

SCRIPTS = (".pt", ".pth", ".ts", ".torchscript", ".jit")
"""Endings of TorchScript files, and of files of weights as well."""
OUTSIDE = re.compile(rb"\b(save|from_file|load_tensor|PythonOp|IgnoredPythonOp)\b")
"""Operations of TorchScript that reach beyond tensors."""


def load_program(path: Path | str) -> nn.Module | None:
    """The network of a TorchScript or torch.export file, on the CPU; None for any other file.

    Raises:
        UserError: a damaged file, or one that would do more than compute with tensors.
    """
    path = Path(path)
    if path.suffix == ".pt2":
        return _attempt(_exported, path)
    if path.suffix in SCRIPTS and _is_script(path):
        return _attempt(_script, path)
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


def _exported(path: Path) -> nn.Module:
    copied = copy_exported(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of older forms, and of buffers that nobody writes to
        return _Program(torch.export.load(copied).module())


def _script(path: Path) -> nn.Module:
    with open_zip(path), path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise ValueError("something stands before its archive")
    reader = torch._C.PyTorchFileReader(
        str(path)
    )  # what torch.jit.load reads with: another might see other entries
    for name in reader.get_all_records():
        if name == "model.json":
            raise ValueError("it is of torch before 1.2")
        if name.endswith(".py") and (found := OUTSIDE.search(reader.get_record(name))):
            raise ValueError(f"it uses {found[0].decode()} ({name}), which reaches beyond tensors")
    loaded: nn.Module = torch.jit.load(str(path), map_location="cpu")
    return loaded


def _is_script(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name or name.endswith("model.json") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _attempt(load: Callable[[Path], nn.Module], path: Path) -> nn.Module:
    try:
        return load(path)
    except ValueError as error:
        raise UserError(
            f"checkpoint {path} is not loaded: {first_line(error)}; give the weights alone "
            "(safetensors) and the network's class, or save the program again"
        ) from error
    except Exception as error:
        raise UserError(
            f"checkpoint {path} is damaged or of another torch version: {first_line(error)}"
        ) from error
