"""Runs the jobs of a multirun as tasks of Ray, on this machine or on a cluster."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from counterfoil.core.bounds import Count, Positive, Weight, checked
from counterfoil.core.errors import UserError
from counterfoil.util import signals
from counterfoil.util.command import ARGUMENTS

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # jobs that reserve no GPU see all of them, as without Ray
    "RAY_task_oom_retries": "3",  # by default without end
}
STORE = 128 * 2**20
"""Bytes for objects that go between tasks: configs and errors alone, as figures lie in files."""
PROBE = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR')"


@dataclass(frozen=True)
class Options:
    """Where jobs run.

    Attributes:
        address: HOST:PORT of a cluster's head, or "auto"; None: a runtime of this machine.
        jobs: that run at once.
        threads: of a job; a cluster reserves as many processors.
        gpus: that a job reserves, 1 or more, or a part of one.
        wait: seconds for an address to answer.
    """

    address: str | None = None
    jobs: Count = 2
    threads: Count = 1
    gpus: Weight = 0
    wait: Positive = 20


def options_of(node: Mapping[str, Any]) -> Options:
    """The options that a config holds.

    Raises:
        UserError: a value out of its bounds, or an address of another kind.
    """
    options = Options(**checked(Options, dict(node), "hydra.launcher."))
    if options.gpus > 1 and options.gpus != int(options.gpus):
        raise UserError(f"hydra.launcher.gpus={options.gpus}: expected a whole number, or a part of one")
    if options.address is not None and "://" in options.address:
        raise UserError(
            f"hydra.launcher.address={options.address}: expected HOST:PORT, or auto; the command is to be "
            "given on a machine of the cluster"
        )
    return options


@dataclass(frozen=True)
class Multirun:
    """What all jobs of a multirun share."""

    context: HydraContext
    config: DictConfig
    task: TaskFunction


def launch(
    multirun: Multirun, options: Options, batch: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """Run a job for each list of overrides, in Ray's processes; returns them in their order."""
    import ray

    setup_globals()
    connect(options)
    shared = ray.put([multirun, Singleton.get_state(), os.getcwd(), os.environ.get(ARGUMENTS)])
    reserved = {"num_cpus": 1 if options.address is None else options.threads, "num_gpus": options.gpus}
    remote: Any = ray.remote
    job = remote(**reserved)(execute)
    starts = [
        lambda number=first + place, overrides=list(overrides): job.remote(number, overrides, shared)
        for place, overrides in enumerate(batch)
    ]
    found = dict(_ended(starts, options.jobs))
    return [found[place] for place in range(len(batch))]


def _ended(starts: Sequence[Callable[[], Any]], most: int) -> Iterator[tuple[int, JobReturn]]:
    """Each job's place and what came of it; no more than `most` run at once."""
    import ray

    running: dict[Any, int] = {}
    waiting = list(enumerate(starts))[::-1]
    while waiting or running:
        while waiting and len(running) < most:
            place, start = waiting.pop()
            running[start()] = place
        (one,), _ = ray.wait(list(running), num_returns=1)
        yield running.pop(one), _result(one)


def _result(reference: Any) -> JobReturn:
    import ray

    try:
        found: JobReturn = ray.get(reference)
        return found
    except ray.exceptions.RayError as error:  # its process is gone, or it could not begin
        lost = JobReturn(status=JobStatus.FAILED)
        lost.return_value = getattr(error, "cause", None) or error
        return lost


def execute(number: int, overrides: Sequence[str], shared: Sequence[Any]) -> JobReturn:
    """One job, in a process of Ray."""
    multirun, state, folder, arguments = shared
    if not Path(folder).is_dir():
        raise UserError(
            f"launcher=ray: {os.uname().nodename} has no folder {folder}; the machines of a cluster need one "
            "file system for runs and models"
        )
    os.chdir(folder)
    if arguments is not None:
        os.environ[ARGUMENTS] = arguments
    setup_globals()
    Singleton.set_state(state)
    config = multirun.context.config_loader.load_sweep_config(multirun.config, list(overrides))
    with open_dict(config):
        config.hydra.job.id = f"{config.hydra.job.name}_{number}"
        config.hydra.job.num = number
    HydraConfig.instance().set_config(config)
    return run_job(
        hydra_context=multirun.context,
        config=config,
        task_function=multirun.task,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def connect(options: Options) -> None:
    """Start a runtime of this machine, or join that of the address; once in a process.

    Raises:
        UserError: nothing answers in time.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        return
    quiet: dict[str, Any] = {"include_dashboard": False, "logging_level": logging.WARNING}
    if options.address is None:
        ray.init("local", num_cpus=options.jobs, object_store_memory=STORE, **quiet)
    else:
        answers(options.address, options.wait)
        ray.init(options.address, logging_level=logging.WARNING)
    signals.listen_again()


def answers(address: str, wait: float) -> None:
    """Return if a cluster answers; a process of its own asks, as Ray waits long and may abort its process.

    Raises:
        UserError: none answers in time, or this process cannot join it.
    """
    command = [sys.executable, "-c", PROBE, address]
    what = f"hydra.launcher.address={address}"
    advice = "start one by `ray start --head`, or leave the address out for this machine alone"
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=wait)
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"{what}: no Ray cluster has answered within {wait:g} seconds (hydra.launcher.wait=); {advice}"
        ) from error
    if asked.returncode:
        told = [line.strip() for line in asked.stderr.splitlines() if line.strip()]
        raise UserError(
            f"{what}: no Ray cluster can be joined ({told[-1] if told else 'no reason'}); {advice}"
        )
