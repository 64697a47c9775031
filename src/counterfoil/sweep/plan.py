"""What a sweep shall do, as typed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from counterfoil.core.bounds import Count, Pair, Seed, Whole, checked, shown
from counterfoil.core.errors import UserError, unknown_option
from counterfoil.sweep.space import Space, number, read_space
from counterfoil.util.digest import digest


@dataclass(frozen=True)
class Plan:
    """The node `sweep` of a config.

    Attributes:
        name: of the sweep.
        node: its search space as the config has it; see `read_space`.
        sampler: tpe, nsga2, random or grid.
        trials: in all, those of earlier commands included.
        parallel: trials that run at once; a launcher decides where. None: as many as the launcher has jobs,
            but no more than a quarter of the trials, or the sampler would learn of none of them.
        objectives: metrics, each with a direction of its own; the first chooses the winner.
        constraints: metric -> the least value that a trial must reach (the largest, where less is better).
        first: queries of the slice on which a trial is judged before all; 0 judges none before. A config with
            fewer than four times as many has no slice: it would cost more than it spares.
        points: values that a grid takes of each range.
        seed: of the sampler.

    Raises:
        UserError: a value that is none of these.
    """

    name: str
    node: Mapping[str, Any] | None
    sampler: Literal["tpe", "nsga2", "random", "grid"] = "tpe"
    trials: Count = 20
    parallel: Count | None = None
    objectives: Sequence[str] = ("judge_agreement", "l1")
    constraints: Mapping[str, float] = field(default_factory=dict)
    first: Whole = 0
    points: Pair = 3
    seed: Seed = 0

    @staticmethod
    def of(node: Mapping[str, Any]) -> Plan:
        """The plan that a config holds."""
        given = {key: value for key, value in node.items() if key != "space"}
        options = [key for key in Plan.__dataclass_fields__ if key != "node"]
        for key in sorted(given.keys() - set(options)):
            raise UserError(unknown_option(f"sweep.{key}", key, [*options, "space"]))
        given = checked(Plan, given, "sweep.")
        if "objectives" in given:
            given["objectives"] = tuple(given["objectives"] or ())
        constraints = given.pop("constraints", None) or {}
        for metric, limit in constraints.items():
            if not number(limit):
                raise UserError(
                    f"sweep.constraints.{metric}={shown(limit)}: expected a number; without it: "
                    f"~sweep.constraints.{metric}"
                )
        return Plan(**{"name": "options", **given, "node": node.get("space"), "constraints": constraints})

    def __post_init__(self) -> None:
        if not self.objectives:
            raise UserError("sweep.objectives: none; choose metrics, such as [judge_agreement,l1]")

    @property
    def space(self) -> Space:
        """The distribution of each option."""
        return read_space(self.node)

    def identity(self, settled: Any) -> str:
        """What the trials of a storage share: space, objectives, constraints, and the config around them."""
        return digest([self.node, list(self.objectives), dict(self.constraints), settled])
