"""A search in bfloat16 whose counterfactuals are told in float32."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.core.taps import read
from counterfoil.search.batch import Batch
from counterfoil.search.candidate import END, Candidate, Moment, Variables
from counterfoil.search.space import Space
from counterfoil.search.term import Objective

Precision = Literal["float32", "bf16", "auto"]
"""What an option `precision` names."""
UNITS = frozenset(("amx_bf16", "avx512_bf16", "bf16", "svebf16"))
"""Flags of processors, x86 and ARM, that multiply numbers of bfloat16."""
AMPERE = (8, 0)
"""The first CUDA capability that does."""
FEW = 4
"""Fewer queries at once than this take no less time in bfloat16."""
NEARER = 0.99
"""How near a point in bfloat16 must be, of the distance of a counterfactual known, to be graded again."""


class Point(NamedTuple):
    """What the networks tell of a point.

    Attributes:
        decoded: (B, C, H, W) the input.
        logits: (B, K) of the classifier.
        features: its activations (B, ...) by name.
    """

    decoded: Tensor
    logits: Tensor
    features: Mapping[str, Tensor]

    @staticmethod
    def of(
        query: Query, space: Space, variables: Variables, layers: Sequence[str], moment: Moment = END
    ) -> Point:
        """A point in the precision of the query's networks."""
        decoded = query.keep(space.decode(query, variables, moment))
        return Point(decoded, *read(query.classifier, decoded, layers))

    def put(self, rows: Tensor, other: Point) -> Point:
        """The same with `other` in some rows (int64)."""
        return Point(
            self.decoded.index_copy(0, rows, other.decoded),
            self.logits.index_copy(0, rows, other.logits),
            {name: value.index_copy(0, rows, other.features[name]) for name, value in self.features.items()},
        )


class Lowered:
    """The networks in bfloat16 with channels last, by autocast over copies; all else stays in float32.

    These are the variables, the optimiser's state, what the objective makes of decoded input, logits and
    features, and everything for the rows that are `exact`.
    """

    def __init__(self) -> None:
        self._copies: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()

    def point(
        self,
        query: Query,
        space: Space,
        variables: Variables,
        layers: Sequence[str],
        exact: Tensor,
        moment: Moment = END,
    ) -> Point:
        """A point with the rows `exact` (B,) bool, on the CPU, in float32."""
        fine = exact.nonzero()[:, 0].to(query.target.device)
        if not len(fine):
            return self._low(query, space, variables, layers, moment)
        if len(fine) == len(query):
            return Point.of(query, space, variables, layers, moment)
        coarse = (~exact).nonzero()[:, 0].to(fine)
        parts = [
            make(
                query[rows],
                space,
                {name: value[rows] for name, value in variables.items()},
                layers,
                moment[rows],
            )
            for make, rows in ((self._low, coarse), (Point.of, fine))
        ]
        order = torch.cat([coarse, fine]).argsort()
        return Point(
            torch.cat([part.decoded for part in parts])[order],
            torch.cat([part.logits for part in parts])[order],
            {name: torch.cat([part.features[name] for part in parts])[order] for name in layers},
        )

    def _low(
        self, query: Query, space: Space, variables: Variables, layers: Sequence[str], moment: Moment
    ) -> Point:
        on_copies = query.over(self._copy(query.classifier), self._copy(query.generator))
        with torch.autocast(query.factual.device.type, torch.bfloat16):
            decoded, logits, features = Point.of(on_copies, space, variables, layers, moment)
        like = query.factual.dtype
        return Point(
            decoded.to(like), logits.to(like), {name: value.to(like) for name, value in features.items()}
        )

    def _copy(self, network: Any) -> Any:
        """A network with channels last; itself where it is none, or one that cannot be copied."""
        if not isinstance(network, nn.Module):
            return network
        if network not in self._copies:
            try:
                made = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            except (RuntimeError, TypeError, NotImplementedError):
                return network
            self._copies[network] = made
        return self._copies[network]


@torch.no_grad()
def regraded(
    batch: Batch, space: Space, objective: Objective, candidate: Candidate, distance: Tensor, moment: Moment
) -> tuple[Candidate, Tensor]:
    """Points in float32 where they would count by what bfloat16 says, and their distances (B,).

    Rows without a counterfactual whose points do not reach the confidence there become `exact`.
    """
    query, best = batch.query, batch.best
    reached = query.reached(candidate.logits) & batch.alive & ~batch.exact.to(batch.alive.device)
    reached = reached if candidate.gradable is None else reached & candidate.gradable
    rows = (reached & ((distance < NEARER * best.distance) | ~best.success)).nonzero()[:, 0]
    if not len(rows):
        return candidate, distance.masked_fill(reached, torch.inf)
    part = query[rows]
    variables = {name: value.detach()[rows] for name, value in batch.variables.items()}
    fine = Point.of(part, space, variables, list(candidate.features), moment[rows])
    graded = Candidate(variables, fine.decoded, fine.logits, moment[rows].progress, fine.features)
    failing = rows[~part.reached(fine.logits) & ~best.success[rows]]
    batch.exact[failing.to(batch.exact.device)] = True
    best.regraded[rows] += 1
    whole = Point(candidate.decoded, candidate.logits, candidate.features).put(rows, fine)
    told = replace(candidate, decoded=whole.decoded, logits=whole.logits, features=whole.features)
    apart = distance.masked_fill(reached, torch.inf)  # what is not graded again is no counterfactual
    return told, apart.index_copy(0, rows, objective.distance(part, graded))


def lowers(precision: Precision, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a search of this precision runs its networks in bfloat16.

    "auto" does where the device multiplies in bfloat16: on a CPU with amx_bf16 or avx512_bf16 (bf16 or
    svebf16 on ARM), and on CUDA from capability 8.0 on. Only the flags are asked, no clock, so that a machine
    always answers alike. Others emulate bfloat16, which takes longer than float32.

    Raises:
        UserError: "bf16" with another `dtype` than float32.
    """
    if precision == "float32" or (precision == "auto" and dtype != torch.float32):
        return False
    if dtype != torch.float32:
        found = str(dtype).removeprefix("torch.")
        raise UserError(f"precision=bf16 goes with dtype=float32, found dtype={found}; leave out one of them")
    return precision == "bf16" or multiplies(device)


def multiplies(device: torch.device) -> bool:
    """Whether a device has units for bfloat16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= AMPERE
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and bool(UNITS & processor_flags())


@cache
def processor_flags() -> frozenset[str]:
    """What the processor says that it can do, by the names of /proc/cpuinfo; nothing where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    found = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(found, "").split())
