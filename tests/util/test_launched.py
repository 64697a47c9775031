"""What launchers tell their processes: number, size, place on the machine, and the name of the start."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from counterfoil.core.errors import UserError
from counterfoil.util.launched import ARRAY, Rank

TORCHRUN = {"RANK": "2", "WORLD_SIZE": "3", "LOCAL_RANK": "1", "MASTER_PORT": "1"}
SRUN = {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "1", "SLURM_JOB_ID": "7"}
TASKS = {"SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "10"}


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, Rank()),
        ({"WORLD_SIZE": "2", "LOCAL_RANK": "1"}, Rank()),
        ({**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"}, Rank()),
        (TORCHRUN, Rank(2, 3, 1, "torchrun")),
        ({**SRUN, "SLURM_STEP_ID": "0"}, Rank(1, 4, 1, "srun", "step 7.0")),
        (SRUN, Rank(1, 4, 1, "srun")),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7"}, Rank()),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, Rank(1, 2, 0, "mpirun")),
        ({**TASKS, "SLURM_ARRAY_TASK_ID": "12"}, Rank(2, 3, 0, ARRAY, "array 9")),
        (
            {**TASKS, "SLURM_ARRAY_TASK_ID": "14", "SLURM_ARRAY_TASK_STEP": "2"},
            Rank(2, 3, 0, ARRAY, "array 9"),
        ),
        ({**TASKS, "SLURM_ARRAY_TASK_ID": "12", "SLURM_ARRAY_TASK_COUNT": "1"}, Rank()),
        ({**TASKS, "SLURM_ARRAY_TASK_ID": "12", "SUBMITIT_EXECUTOR": "slurm"}, Rank()),
    ],
)
def test_the_environment_tells_the_rank(environment: Mapping[str, str], rank: Rank) -> None:
    assert Rank.of(environment) == rank


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({**TORCHRUN, "RANK": "3"}, "RANK=3: expected a rank below WORLD_SIZE=3"),
        ({**TORCHRUN, "RANK": "first"}, "RANK=first: expected a whole number"),
        ({**TASKS, "SLURM_ARRAY_TASK_ID": "-1"}, "SLURM_ARRAY_TASK_ID=-1: expected a whole number"),
    ],
)
def test_what_is_no_rank_is_refused(environment: Mapping[str, str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Rank.of(environment)


def test_who_may_lead() -> None:
    """Where starts have no name, a late rank could not tell this one's end from an earlier one's."""
    assert Rank.of({**TORCHRUN, "RANK": "0"}).may_lead
    assert not Rank.of(TORCHRUN).may_lead
    assert Rank.of({**TASKS, "SLURM_ARRAY_TASK_ID": "12"}).may_lead


def test_a_rank_is_divided_on_its_machine() -> None:
    assert Rank().local_ranks(1) == [Rank()]
    assert Rank().local_ranks(3) == [Rank(0, 3, 0), Rank(1, 3, 1), Rank(2, 3, 2)]
    assert Rank(1, 2, 0, ARRAY, "a").local_ranks(2) == [Rank(2, 4, 0, ARRAY, "a"), Rank(3, 4, 1, ARRAY, "a")]
