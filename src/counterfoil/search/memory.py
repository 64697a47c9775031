"""How many queries fit into the memory that is free."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.query import Query
from counterfoil.search.candidate import Variables
from counterfoil.util.cgroup import headroom

log = logging.getLogger("counterfoil")
SHARE = 0.7
"""Of the free memory, what a search may take."""
COPIES = 7
"""Of each variable: its value, gradient, two moments, step, fitted start and best point."""
PASSES = 2.0
"""Of what is saved for the backward pass: the gradients that flow back weigh as much again at most."""
PLENTY = 5_000.0
"""Bytes per byte of an image that no step of a shared network is expected to take."""


def rows_that_fit(
    query: Query,
    start: Callable[[Query], Variables],
    decode: Callable[[Query, Variables], Tensor],
    who: str,
    plenty: float = 0.0,
) -> int:
    """The number of queries to search at once; where that is not all of them a line says so.

    Where `plenty` times the bytes of the images are free, all fit, and nothing is tried.

    A step is tried on the first query without the classifier's own activations being charged to anyone but
    memory.
    """
    if len(query) < 2:
        return max(len(query), 1)
    free = free_memory(query.factual.device)
    if free is None or (plenty and plenty * query.factual.nbytes < free):
        return len(query)
    each = bytes_of_a_row(
        query[torch.zeros(1, dtype=torch.int64, device=query.factual.device)], start, decode
    )
    fitting = max(int(SHARE * free / each), 1)
    if fitting < len(query):
        log.info(
            f"{who} needs about {each / 2**20:.0f} MB per query and {free / 2**20:.0f} MB are free: "
            f"{fitting} of {len(query)} queries fit, so they are explained {fitting} at a time"
        )
    return min(fitting, len(query))


def bytes_of_a_row(
    query: Query, start: Callable[[Query], Variables], decode: Callable[[Query, Variables], Tensor]
) -> float:
    """About the bytes that one step of one query takes.

    These are its variables with what the optimiser keeps, and what is saved for backward.
    """
    variables = {name: value.detach().requires_grad_() for name, value in start(query).items()}
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Any:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        image = decode(query, variables)
        outcome = query.classifier(image)
    own = {value.untyped_storage().data_ptr() for value in variables.values()}
    fixed = {
        value.untyped_storage().data_ptr()
        for value in (*query.classifier.parameters(), *query.classifier.buffers())
    }
    activations = sum(size for place, size in saved.items() if place not in own | fixed)
    del outcome
    return COPIES * sum(value.nbytes for value in variables.values()) + PASSES * activations


def free_memory(device: torch.device) -> float | None:
    """Bytes that are free on a device, None where the system does not say.

    On the CPU a container's limit counts as well.
    """
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    known = [value for value in (_available(), headroom()) if value is not None]
    return min(known, default=None)


def out_of_memory(error: BaseException) -> bool:
    """Whether torch raised this because it could not allocate a tensor, on a GPU or on the CPU."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    told = str(error)
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in told and "memory" in told


def _available() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * float(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    except (OSError, StopIteration, IndexError):
        return None
