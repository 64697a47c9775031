"""Scripts in processes of their own, forked from one that has imported everything and has run nothing."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        *("torch", "pytorch_lightning", "matplotlib.pyplot", "torch.distributed.tensor"),
        *("counterfoil.run.study", "counterfoil.run.train", "counterfoil.run.address"),
        *("counterfoil.explainer.wachter", "counterfoil.generative.vae", "tests.forked"),
    ]
)
"""An interpreter of its own takes seconds of imports; a fork of this one takes none."""


@dataclass(frozen=True)
class Done:
    """How a script ended: its exit code, negative for a signal, and what it said."""

    returncode: int
    stdout: str
    stderr: str


class Forked:
    """A script at work.

    Args:
        words: the script's path or `-m` and a module, and its arguments.
        folder: from which it is called.
        environment: all that it sees.
        patch: called before it, in its process; can be pickled.
    """

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        patch: Callable[[], None] | None = None,
    ) -> None:
        self.said = tempfile.TemporaryDirectory()
        given = (list(words), folder, dict(environment), self.said.name, patch)
        self.process = CONTEXT.Process(target=_run, args=given)
        self.process.start()
        assert self.process.pid is not None
        self.pid = self.process.pid

    def poll(self) -> int | None:
        """The exit code, None while it is at work."""
        return self.process.exitcode

    def end(self, timeout: float = 250) -> Done:
        """Wait for its end."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"a script did not end within {timeout:g} s")
        out, err = (Path(self.said.name, name).read_text() for name in ("out", "err"))
        return Done(self.process.exitcode, out, err)


def _run(
    words: list[str], folder: Path, environment: dict[str, str], said: str, patch: Callable[[], None] | None
) -> None:
    import torch

    torch.set_num_threads(1)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(said, name), os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    if patch is not None:
        patch()
    if words[0] == "-m":
        sys.argv = [words[1], *words[2:]]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path[:0] = [str(Path(words[0]).parent)]
        runpy.run_path(words[0], run_name="__main__")
