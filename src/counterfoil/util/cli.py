"""What both scripts do around Hydra, without torch: `explainer=all`, readable errors and warnings."""

from __future__ import annotations

import errno
import functools
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from omegaconf import DictConfig, OmegaConf

from counterfoil.core.errors import CounterfoilWarning, UserError, first_line, suggest
from counterfoil.core.whole import is_full
from counterfoil.util import disk, signals
from counterfoil.util.command import ARGUMENTS
from counterfoil.util.cores import share
from counterfoil.util.grammar import ambiguous, unknown, unknown_reference, unreadable
from counterfoil.util.memory import keep_memory

NOT_ALL = ("composed", "unchanged", "all")
"""Explainer configs that `explainer=all` leaves out."""


def _plus(a: Any, b: Any) -> Any:
    """`${plus:a,b}`; a itself where it is no number, for its own check to refuse."""
    return a + b if isinstance(a, int | float) else a


OmegaConf.register_new_resolver("plus", _plus, replace=True)


def _switch(value: Any, *cases: Any) -> Any:
    """`${switch:value,case,result,...,otherwise}`: the result of the first case that the value equals."""
    pairs = zip(cases[:-1:2], cases[1::2], strict=True)
    found = next((result for case, result in pairs if case == value), cases[-1])
    # a plain list could be read, but not resolved for --cfg job --resolve
    return OmegaConf.create(found) if isinstance(found, (list, dict)) else found


def _seeded(model: DictConfig, seed: int) -> dict[str, Any]:
    """`${seeded:${classifier},seed}`: the same recipe of a model, to be trained with another seed."""
    if not isinstance(model, DictConfig):
        return {}
    node: Any = OmegaConf.to_container(model, resolve=False)
    return {**node, "seed": seed, "checkpoint": None}


OmegaConf.register_new_resolver("switch", _switch, replace=True)
OmegaConf.register_new_resolver("seeded", _seeded, replace=True)
OmegaConf.register_new_resolver("share", lambda jobs: share(int(jobs)), replace=True)
LAUNCHERS = {"joblib": "hydra-joblib-launcher", "submitit_slurm": "hydra-submitit-launcher"}
LAUNCHERS["submitit_local"] = LAUNCHERS["submitit_slurm"]
"""The package that brings each launcher."""
LOST = (
    *("TerminatedWorkerError", "UncompletedJobError", "FailedJobError", "FailedSubmissionError"),
    *("WorkerCrashedError", "NodeDiedError", "LocalRayletDiedError", "RaySystemError"),
)
"""What launchers raise where a job's process is gone."""


def run(main: Callable[[], None], conf: Path) -> None:
    """Call a Hydra main; a UserError ends in one line and exit code 1, any other in a traceback."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    # Threads that spin while they wait make a busy machine many times slower; read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.path.append(os.getcwd())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files that are not UTF-8
    signals.listen()
    try:
        _refuse_undecodable(sys.argv[1:])
        sys.argv = expand_all(sys.argv, conf)
        main()
    except signals.Stopped as stop:
        print(f"stopped by {stop.name}; {_next(sys.argv)}", file=sys.stderr)
        sys.exit(stop.code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        _end(error)
    finally:
        os.environ.pop(ARGUMENTS, None)  # told to the processes of a launcher alone


def _next(arguments: Sequence[str]) -> str:
    """What the same command does after it was stopped."""
    if "overwrite=true" not in arguments:
        return "the same command goes on from here"
    if any(part.startswith("study=") for part in arguments):
        return "the same command runs all jobs again"
    return "the same command without overwrite=true goes on from here"


def one_line(task: Callable[[DictConfig], None]) -> Callable[[DictConfig], None]:
    """End a single run at a UserError before Hydra adds its lines; in a multirun the other jobs go on."""

    @functools.wraps(task)
    def wrapped(config: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig

        talk()
        keep_memory()  # here, as a launcher's process has not been through `run`
        try:
            task(config)
        except Exception as error:
            mode = HydraConfig.get().mode
            if mode is not None and mode.name == "MULTIRUN":
                raise
            _end(error)

    return wrapped


def _refuse_undecodable(arguments: Sequence[str]) -> None:
    for part in arguments:
        if not part.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in part):
            shown = part.encode(errors="backslashreplace").decode()
            raise UserError(f"{shown}: holds bytes that are not UTF-8; rename that file or folder")


def talk() -> None:
    """Show each of our warnings as one yellow line, and messages of the logger "counterfoil" as they are."""
    warnings.simplefilter("always", CounterfoilWarning)
    if not isinstance(warnings.showwarning, _OneLine):
        warnings.showwarning = _OneLine(warnings.showwarning)
    log = logging.getLogger("counterfoil")
    log.handlers, log.propagate = [_Plain()], False
    log.setLevel(logging.INFO)


class _OneLine:
    """Prints our warnings on standard error, the word in yellow on a terminal; others go to `otherwise`."""

    def __init__(self, otherwise: Callable[..., None]) -> None:
        self.otherwise = otherwise

    def __call__(self, message: Warning | str, category: type[Warning], *where: Any, **rest: Any) -> None:
        from rich.console import Console
        from rich.text import Text

        if not issubclass(category, CounterfoilWarning):
            self.otherwise(message, category, *where, **rest)
            return
        line = " ".join(str(message).split())
        Console(stderr=True).print(Text.assemble(("warning:", "yellow"), f" {line}"), soft_wrap=True)


class _Plain(logging.Handler):
    """Prints messages on the standard output of the moment, which a progress bar may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record))


def _end(error: Exception) -> NoReturn:
    line = explain_error(error)
    if line is None:
        raise error
    remove_empty_run_dir()
    print(f"error: {line}", file=sys.stderr)
    sys.exit(1)


def expand_all(arguments: Sequence[str], conf: Path) -> list[str]:
    """Turn explainer=all into the list of every explainer yaml: ours, of a --config-dir, of a plugin."""
    if "explainer=all" not in arguments:
        return list(arguments)
    from hydra._internal.utils import create_config_search_path

    search = create_config_search_path(str(conf))  # with those of Hydra's plugins
    for folder in config_dirs(arguments):
        search.append("command-line", f"file://{folder.resolve()}")
    names = sorted(set(_choices([place.path for place in search.get_path()], "explainer")) - set(NOT_ALL))
    return [f"explainer=[{','.join(names)}]" if part == "explainer=all" else part for part in arguments]


def _choices(places: Iterable[str], group: str) -> list[str]:
    """The yamls of a config group in places as Hydra writes them: file://FOLDER, pkg://PACKAGE."""
    from hydra._internal.config_repository import ConfigRepository
    from hydra._internal.config_search_path_impl import ConfigSearchPathImpl

    search = ConfigSearchPathImpl()
    for place in places:
        search.append("any", place)
    return list(ConfigRepository(search).get_group_options(group))


def explain_error(error: BaseException) -> str | None:
    """One line for errors that the user can fix, None for any other."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, UserError):
            return str(link)
        if is_full(link) or isinstance(link, OSError):
            told = disk.explain(link if isinstance(link, OSError) else OSError(errno.ENOSPC, str(link)))
            if told:
                return told
        if type(link).__name__ in LOST:
            return (
                f"a job's process has ended ({first_line(link)}); see its log, or lower jobs= if the memory "
                "was short: the same command goes on"
            )
        if 'Could not detect "srun"' in str(link):
            return "launcher=slurm: there is no Slurm on this machine (no srun); choose launcher=joblib"
    full = next((link for link in chain if _out_of_memory(link)), None)
    if full is not None:
        return (
            f"not enough memory ({first_line(full)}); lower batch_size=, training.batch_size= or net.width="
        )
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _config_error(error)
    if isinstance(error, ValueError) and "Config group override must be" in str(error):  # GROUP=null
        return (
            "a config group cannot be set to null; take it out with ~GROUP, such as ~generative "
            "(the judge alone: judge=null)"
        )
    return None


def remove_empty_run_dir() -> None:
    """Hydra makes the run folder before our code can refuse; leave none behind that holds nothing."""
    from hydra.core.hydra_config import HydraConfig

    if HydraConfig.initialized() and not OmegaConf.is_missing(HydraConfig.get().runtime, "output_dir"):
        folder = Path(HydraConfig.get().runtime.output_dir)
        with suppress(OSError):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _config_error(error: Exception) -> str:
    from hydra.errors import OverrideParseException

    for link in _chain(error):
        if isinstance(link, OverrideParseException):
            return unreadable(link.override)
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    missing = re.search(r"Could not find '([^']+)'", text)
    if missing and "Available options" in text:
        group, _, name = missing.group(1).rpartition("/")
        if group == "hydra/launcher" and name in LAUNCHERS:
            return (
                f"hydra/launcher={name} needs the package {LAUNCHERS[name]}: pip install "
                "'counterfoil[launch]', or choose another launcher="
            )
        start = next(i for i, line in enumerate(lines) if line.startswith("Available"))
        options = [line for line in lines[start + 1 :] if re.fullmatch(r"[\w-]+", line)]
        return f"{group}={name} does not exist; choose one of: {', '.join(options)}{suggest(name, options)}"
    absent = re.search(r"Could not load '([^']+)'", text)
    if absent:
        group, _, name = absent.group(1).rpartition("/")
        options = _choices(re.findall(r"path=((?:file|pkg)://\S+)", text), group)
        known = f"{', '.join(options)}{suggest(name, options)}"
        return f"{group}={name} does not exist; choose one or several of: {known}"
    dangling = re.search(r"Interpolation key '([^']+)' not found", text)
    if dangling:
        path = re.search(r"full_key: (\S+)", text)
        return unknown_reference(dangling.group(1), path.group(1) if path else "")
    sweep = re.search(r"Ambiguous value for argument '(.*)'$", lines[0]) if lines else None
    if sweep:
        return ambiguous(sweep.group(1))
    unset = re.search(r"Missing mandatory value: .*full_key: (\S+)", " ".join(lines))
    if unset:
        return f"option {unset.group(1)} has no value; set {unset.group(1)}=VALUE"
    key = re.search(r"Key '([^']+)' is not in struct", text) or re.search(
        r"Could not override '([^']+)'", text
    )
    if key:
        path = re.search(r"full_key: (\S+)", text)
        nodes = (getattr(link, "parent_node", None) for link in _chain(error))
        parent = next((node for node in nodes if isinstance(node, DictConfig)), DictConfig({}))
        name = path.group(1) if path else key.group(1)
        return unknown(name, map(str, parent.keys()), parent._get_full_key(None))
    return " ".join(line for line in lines if not line.startswith(("object_type", "Set the environment")))


def _out_of_memory(error: BaseException) -> bool:
    names = ("MemoryError", "OutOfMemoryError")
    return type(error).__name__ in names or "can't allocate memory" in str(error)


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def config_dirs(arguments: Sequence[str]) -> list[Path]:
    """The folders that a command line adds to the configs with --config-dir."""
    found = []
    for i, part in enumerate(arguments):
        if part in ("--config-dir", "-cd") and i + 1 < len(arguments):
            found.append(Path(arguments[i + 1]))
        elif part.startswith("--config-dir="):
            found.append(Path(part.split("=", 1)[1]))
    return found
