"""A study: the jobs of a Hydra multirun; finished ones are skipped, and all are joined at the end.

python -m counterfoil.run.study publish RUN      copies the figures of RUN to results/<study>.json
python -m counterfoil.run.study render           writes RESULTS.md from results/
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from counterfoil.core.errors import UserError, first_line
from counterfoil.report.published import FOLDER, publish, render
from counterfoil.report.study import Outcome, Study, join
from counterfoil.run.config import RunConfig, used
from counterfoil.run.evaluate import evaluate
from counterfoil.run.folder import LOCK, figures, finished
from counterfoil.util.build import build
from counterfoil.util.cli import explain_error, talk
from counterfoil.util.command import ARGUMENTS, command_line
from counterfoil.util.launched import Rank
from counterfoil.util.lock import InUse, locked
from counterfoil.util.record import read_json, write_json, write_text

LOG = logging.getLogger(__name__)
ENDED = "jobs"
"""Folder of a study with a file per job that has ended since the command was given.

Jobs of several processes or machines could not write one file: NFS appends nothing atomically.
"""


def run_job(config: DictConfig, run_dir: Path, choices: Mapping[str, str], overrides: Sequence[str]) -> None:
    """One evaluation. In a study a finished one is skipped, and a failure leaves the other jobs be."""
    if not config.get("study"):
        evaluate(config, run_dir, choices, overrides)
        return
    error = None
    try:
        _wait_for(run_dir)
        if _finished(config, run_dir):
            LOG.info("job %s is finished, skipped", run_dir.name)
        else:
            evaluate(config, run_dir, choices, overrides)
    except Exception as raised:
        error = explain_error(raised) or _kept(raised, run_dir)
        print(f"error: job {run_dir.name}: {error}", file=sys.stderr)
    note_ended(run_dir, overrides, error)


def _wait_for(run_dir: Path) -> None:
    """Wait until no process is at this job: one of a launcher outlives the command that was killed."""
    if (run_dir / LOCK).is_file():
        with locked(run_dir / LOCK, wait_for=f"still runs job {run_dir.name} of an earlier command"):
            return


def note_ended(run_dir: Path, overrides: Sequence[str], error: str | None = None) -> None:
    """Note beside a job's folder that it has ended, with its overrides and its error."""
    path = run_dir.parent / ENDED / f"{run_dir.name}.json"
    path.parent.mkdir(exist_ok=True)
    write_json(path, {"overrides": list(overrides), "error": error})


def ended(folder: Path) -> dict[str, dict[str, Any]]:
    """What was noted of each job below a folder, by the job's name.

    Raises:
        UserError: a note that is damaged.
    """
    files = (folder / ENDED).glob("*.json")
    return {path.stem: read_json(path, "note of a job; start the same command again") for path in files}


class Join(Callback):
    """Joins the jobs of a study when its multirun ends; other runs are left as they are."""

    def __init__(self) -> None:
        self.held = ExitStack()

    def __reduce__(self) -> tuple[type[Join], tuple[()]]:
        """A launcher sends this to its processes; the folder stays held here."""
        return Join, ()

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Take the folder, and forget which jobs ended under an earlier command.

        The processes of a launcher are told the command.
        """
        talk()
        with _told():
            _check_jobs(config)
        os.environ[ARGUMENTS] = json.dumps(sys.argv)
        if config.get("study") or config.get("sweep"):
            with _told():
                _refuse_ranks(Rank.of(os.environ))
        if config.get("study"):
            with _told():
                self.held.enter_context(_alone(_folder(config)))
                shutil.rmtree(_folder(config) / ENDED, ignore_errors=True)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write study.json, the page and the tables; exit code 1 where a job failed."""
        if not config.get("study"):
            return
        with self.held, _told():
            failed = join_jobs(config)
        if failed:
            sys.exit(1)


def _refuse_ranks(rank: Rank) -> None:
    if rank.together:
        raise UserError(
            f"{rank.launcher} has started {rank.size} processes; a study or sweep is one command: start it "
            "without, with devices= for the processes of a job, or launcher=slurm for a Slurm job of each"
        )


def _check_jobs(config: DictConfig) -> None:
    jobs = config.get("jobs", 1)
    if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
        raise UserError(f"jobs={jobs}: expected a whole number of at least 1, the jobs that run at once")


@contextmanager
def _told() -> Iterator[None]:
    """An error in a callback ends the command; Hydra would make a warning of it."""
    try:
        yield
    except Exception as error:
        print(f"error: {explain_error(error) or traceback.format_exc()}", file=sys.stderr)
        sys.exit(1)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder of a study, so that no second command forgets or joins its jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / LOCK):
            yield
    except InUse as holder:
        raise UserError(
            f"run_dir={folder} is in use by the same or another study ({holder}); wait for it or choose "
            "another run_dir="
        ) from holder


def join_jobs(config: DictConfig) -> bool:
    """Join what the jobs of a study have left; returns whether one of them failed."""
    folder = _folder(config)
    node = OmegaConf.to_container(config.study, resolve=True)
    assert isinstance(node, dict)
    views = {
        name: build(view, where=f"study.views.{name}") for name, view in (node.get("views") or {}).items()
    }
    study = Study(node["name"], node.get("title") or node["name"], public(command_line()), views)
    outcomes = _outcomes(folder)
    failed = [outcome for outcome in outcomes if outcome.error]
    page = join(study, outcomes, folder)
    LOG.info("%d of %d jobs joined. Report: %s", len(outcomes) - len(failed), len(outcomes), page)
    for outcome in failed:
        LOG.info("failed: job %s: %s", outcome.folder.name, outcome.error)
    return bool(failed)


def public(command: str) -> str:
    """A command without the folders of this machine: data.root=FOLDER, and no run_dir."""
    told = re.sub(r"'?(\S*root)=[^\s']+'?", r"\1=FOLDER", command)
    told = re.sub(r" '?run_dir=[^\s']+'?", "", told)
    return re.sub(r"=\S*/(weights|models)/?(?= |$)", r"=\1", told)


def _folder(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir)


def _finished(config: DictConfig, run_dir: Path) -> bool:
    """Whether the folder holds all of this job's figures; with other metrics it is scored again."""
    run = RunConfig.of(config)
    if run.overwrite or not finished(run_dir, run.identity):
        return False
    if used(figures(run_dir)["config"]["metric"]) == used(run.composed["metric"]):
        return True
    (run_dir / "metrics.json").unlink()
    return False


def _kept(error: Exception, run_dir: Path) -> str:
    """A line about a defect, whose traceback is written beside the job's folder."""
    path = run_dir.parent / f"{run_dir.name}-error.txt"
    write_text(path, "".join(traceback.format_exception(error)))
    return f"{type(error).__name__}: {first_line(error)} (see {path})"


def _outcomes(folder: Path) -> list[Outcome]:
    """The jobs that ended under this command, in their order."""
    noted = ended(folder)
    if not noted:
        raise UserError(f"{folder}: no job of the study has ended; see the messages above")
    ordered = sorted(noted, key=lambda name: (len(name), name))
    return [Outcome(folder / name, noted[name]["overrides"], noted[name]["error"]) for name in ordered]


def main(arguments: Sequence[str]) -> None:
    """Publish a study's figures, or render RESULTS.md."""
    talk()
    match list(arguments):
        case ["publish", run]:
            print(publish(Path(run), Path(FOLDER)))
        case ["render"]:
            print(render(Path(FOLDER)))
        case _:
            raise UserError("expected: publish RUN, or render")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as problem:
        sys.exit(f"error: {problem}")
