"""Which of several processes at one run this is, as the launcher that started them tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from counterfoil.core.errors import UserError

LAUNCHERS = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    "srun": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    "mpirun": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
}
"""Launchers of several processes, and the variables in which each tells rank, world size and local rank."""
ARRAY = "a Slurm array"
OF_A_JOB = "SUBMITIT_EXECUTOR"
"""Variable of the jobs of launcher=slurm, whose array is of jobs, not of ranks."""


@dataclass(frozen=True)
class Rank:
    """One process of several.

    Attributes:
        number: from 0.
        size: how many there are.
        local: its number among those of its machine.
        launcher: who started them; "" for a process by itself, or for those of `devices=`.
        start: names this start among all, where the launcher has a name for it.
    """

    number: int = 0
    size: int = 1
    local: int = 0
    launcher: str = ""
    start: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Rank:
        """What the environment tells; a process by itself where it tells nothing.

        Raises:
            UserError: a variable that is no number, or a rank outside of its world.
        """
        for launcher, names in LAUNCHERS.items():
            if all(name in environment for name in names[:2]):
                rank, size, local = (_number(environment, name) for name in names)
                if not rank < size:
                    raise UserError(
                        f"{names[0]}={rank}: expected a rank below {names[1]}={size}; see how {launcher} is "
                        "called"
                    )
                if size > 1:
                    return cls(rank, size, local, launcher, _step(environment) if launcher == "srun" else "")
        return cls() if OF_A_JOB in environment else _in_array(environment)

    @property
    def together(self) -> bool:
        """Whether a launcher started several at the same time."""
        return self.launcher not in ("", ARRAY)

    @property
    def may_lead(self) -> bool:
        """Whether it may lead: the first to come where this start has a name, else rank 0 alone."""
        return self.number == 0 or bool(self.start)

    def local_ranks(self, devices: int) -> list[Rank]:
        """The processes that one of a world is divided into on its machine, itself first."""
        if devices == 1:
            return [self]
        first, size = self.number * devices, self.size * devices
        return [replace(self, number=first + i, size=size, local=i) for i in range(devices)]


def _in_array(environment: Mapping[str, str]) -> Rank:
    """The tasks of a Slurm array, which start whenever there is room."""
    if "SLURM_ARRAY_JOB_ID" not in environment or _number(environment, "SLURM_ARRAY_TASK_COUNT", 1) < 2:
        return Rank()
    task, first, step, count = (
        _number(environment, f"SLURM_ARRAY_TASK_{name}", default)
        for name, default in (("ID", 0), ("MIN", 0), ("STEP", 1), ("COUNT", 1))
    )
    rank = (task - first) // max(1, step) % count
    return Rank(rank, count, 0, ARRAY, f"array {environment['SLURM_ARRAY_JOB_ID']}")


def _step(environment: Mapping[str, str]) -> str:
    job, step = (environment.get(f"SLURM_{name}_ID", "") for name in ("JOB", "STEP"))
    return f"step {job}.{step}" if job and step else ""


def _number(environment: Mapping[str, str], name: str, default: int = 0) -> int:
    value = environment.get(name, str(default))
    if not value.isdecimal():
        raise UserError(f"{name}={value}: expected a whole number in this variable of the environment")
    return int(value)
