"""What a sweep is asked to do, as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from counterfoil.core.errors import UserError
from counterfoil.sweep.space import Space, read_space
from counterfoil.util.digest import digest

SAMPLERS = ("tpe", "nsga2", "random", "grid")


@dataclass(frozen=True)
class Plan:
    """The node `sweep` of a config.

    Attributes:
        name: of the sweep.
        node: its search space as the config has it; see `read_space`.
        sampler: one of `SAMPLERS`.
        trials: in all, those of earlier commands included.
        parallel: trials that run at once; a launcher decides where.
        objectives: metrics, each with a direction of its own; the first chooses the winner.
        constraints: metric -> the least value that a trial must reach (the largest, where less is better).
        first: queries of the slice on which a trial is judged before all; 0 judges none before.
        points: values that a grid takes of each range.
        seed: of the sampler.

    Raises:
        UserError: a value that is none of these.
    """

    name: str
    node: Mapping[str, Any]
    sampler: str = "tpe"
    trials: int = 20
    parallel: int = 1
    objectives: tuple[str, ...] = ("judge_agreement", "l1")
    constraints: Mapping[str, float] = field(default_factory=dict)
    first: int = 0
    points: int = 3
    seed: int = 0

    @staticmethod
    def of(node: Mapping[str, Any]) -> Plan:
        """The plan that a config holds."""
        known = {key: value for key, value in node.items() if key != "space"}
        unknown = sorted(set(known) - set(Plan.__dataclass_fields__))
        if unknown:
            options = ", ".join(key for key in Plan.__dataclass_fields__ if key != "node")
            raise UserError(f"option sweep.{unknown[0]} does not exist; choose of {options}, space")
        if "objectives" in known:
            known["objectives"] = tuple(known["objectives"] or ())
        known["constraints"] = dict(known.get("constraints") or {})
        return Plan(node=dict(node.get("space") or {}), **{"name": "options", **known})

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("parallel", 1), ("first", 0), ("points", 2), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UserError(f"sweep.{name}={value}: expected a whole number of at least {least}")
        if self.sampler not in SAMPLERS:
            raise UserError(
                f"sweep.sampler={self.sampler} is not supported; choose one of: {', '.join(SAMPLERS)}"
            )
        if not self.objectives:
            raise UserError("sweep.objectives: none; choose metrics, such as [judge_agreement,l1]")

    @property
    def space(self) -> Space:
        """The distribution of each option."""
        return read_space(self.node)

    def identity(self, settled: Any) -> str:
        """What the trials of a storage share: space, objectives, constraints, and the config around them."""
        return digest([dict(self.node), list(self.objectives), dict(self.constraints), settled])
