"""How the programs are called here: scripts of a checkout, installed commands, or `python -m counterfoil`."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

from counterfoil.core.errors import UserError

ARGUMENTS = "COUNTERFOIL_ARGUMENTS"
"""Environment variable of processes that a launcher starts: the words of the command, as JSON."""
INSTALLED = "counterfoil-"
"""What the names of installed commands begin with."""
MODULE = "python -m counterfoil "
"""What the first word begins with where the package is run as a module; its program comes after."""
PACKAGE = Path(__file__).parents[1]
CHECKOUT = PACKAGE.parents[1]
"""The folder above src/, in a checkout."""


def configs() -> Path:
    """The folder of the configs: at the top of a checkout, inside an installed package.

    Raises:
        UserError: there is neither.
    """
    for folder in (PACKAGE / "conf", CHECKOUT / "conf"):
        if (folder / "evaluate.yaml").is_file():
            return folder
    raise UserError(f"there is no conf/ in {PACKAGE} nor in {CHECKOUT}; install counterfoil again")


def arguments() -> list[str]:
    """The words of the command that the user gave, also where a launcher has started this process."""
    given = os.environ.get(ARGUMENTS)
    return json.loads(given) if given else sys.argv


def called(program: str) -> list[str]:
    """The words that call "train" or "evaluate" in the way in which this command was called."""
    first = arguments()[0]
    if first.startswith(MODULE):
        return [*MODULE.split(), program]
    if not Path(first).name.startswith(INSTALLED) and (CHECKOUT / f"{program}.py").is_file():
        return ["python", f"{program}.py"]
    return [INSTALLED + program]


def named(program: str) -> str:
    """A program as a message names it: train.py, counterfoil-train, python -m counterfoil train."""
    words = called(program)
    return words[1] if len(words) == 2 else " ".join(words)


def command_line() -> str:
    """The command that the user gave, for a person to repeat."""
    first, *rest = arguments()
    script = Path(first)
    if first.startswith(MODULE):
        words = first.split()
    elif script.name.startswith(INSTALLED):
        words = [script.name]
    else:
        # the other scripts lie at the top, wherever they are called from
        below = "benchmarks" if script.parent.name == "benchmarks" else ""
        words = ["python", str(Path(below, script.name))]
    return shlex.join([*words, *map(str, rest)])


def split(command: str) -> tuple[list[str], list[str]]:
    """The words that call the program, and those given to it, of what `command_line` told."""
    words = shlex.split(command)
    first = len(MODULE.split()) + 1 if command.startswith(MODULE) else 1 + (words[0] == "python")
    return words[:first], words[first:]
