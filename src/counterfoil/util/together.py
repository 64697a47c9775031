"""Several processes at one training: which of them this is, and what they tell each other.

A process by itself is the only one of its group: nothing is sent, and values stay what they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from counterfoil.core.errors import UserError

HOST = "127.0.0.1"
READY = "ready"
POLL = 0.02
"""Seconds between two looks at what another process does."""
T = TypeVar("T")
_Store: Any = dist.TCPStore  # type: ignore[attr-defined]


@dataclass
class _Group:
    rank: int = 0
    size: int = 1
    store: Any = None
    told: int = 0
    dealing: bool = False


_here = _Group()


def size() -> int:
    """How many processes are at this training."""
    return _here.size


def rank() -> int:
    """The number of this process among them, from 0."""
    return _here.rank


def called() -> Any:
    """A meeting place of its own for processes of this machine; others `reach` it by its `port`."""
    return _Store(HOST, 0, is_master=True, wait_for_workers=False)


def reach(port: int) -> Any:
    """The meeting place at a port of this machine, where this process is now waited for."""
    place = _Store(HOST, port, is_master=False, timeout=timedelta(seconds=60))
    place.add(READY, 1)
    return place


def wait_for(place: Any, others: int, check: Callable[[], None]) -> None:
    """Return when as many others have reached the meeting place; `check` raises where one is gone."""
    while place.add(READY, 0) < others:
        check()
        time.sleep(POLL)


@contextmanager
def joined(number: int, of: int, place: Any, backend: str = "gloo") -> Iterator[None]:
    """Within, this process is one of several.

    Args:
        number: of this process.
        of: how many there are.
        place: where they meet.
        backend: of torch.distributed; one that sends tensors of the CPU.
    """
    dist.init_process_group(backend, store=place, rank=number, world_size=of)
    _here.rank, _here.size, _here.store, _here.told = number, of, place, 0
    try:
        yield
    finally:
        _here.rank, _here.size, _here.store = 0, 1, None
        with suppress(RuntimeError, ValueError):
            dist.destroy_process_group()


@contextmanager
def dealing() -> Iterator[None]:
    """Within, each process is dealt its own rows of every batch."""
    _here.dealing = True
    try:
        yield
    finally:
        _here.dealing = False


def dealt(batches: Iterable[T]) -> Iterator[T]:
    """The own rows of each batch, of which every process sees all, in the same order: no row is dealt twice.

    Raises:
        UserError: the first batch has fewer rows than there are processes.
    """
    if not _here.dealing or _here.size == 1:
        yield from batches
        return
    for i, batch in enumerate(batches):
        rows: Any = batch
        if i == 0 and len(rows) < _here.size:
            raise UserError(
                f"trainer.devices={_here.size}: there are only {len(rows)} images to share; lower it, or "
                "raise data.limit"
            )
        if len(rows) > _here.rank:
            yield rows[_here.rank :: _here.size]


def shared(make: Callable[[], T]) -> T:
    """What the first process makes, in all of them; the others wait, however long it takes."""
    if _here.size == 1:
        return make()
    _here.told += 1
    key, made = f"made {_here.told}", [make() if _here.rank == 0 else None]
    if _here.rank == 0:
        _here.store.set(key, "")
    while not _here.store.check([key]):
        time.sleep(POLL)
    dist.broadcast_object_list(made, src=0)
    return cast(T, made[0])


def gathered(parts: Sequence[T]) -> list[T]:
    """The parts of all processes, one process after another; as many as each has."""
    if _here.size == 1:
        return list(parts)
    found: list[Any] = [None] * _here.size
    dist.all_gather_object(found, list(parts))
    return [part for own in found for part in own]


def summed(value: Tensor) -> Tensor:
    """The sum over all processes of a tensor of one shape."""
    if _here.size > 1:
        value = value.detach().clone()
        dist.all_reduce(value)
    return value


def averaged(value: Tensor) -> Tensor:
    """The mean over all processes of a tensor of one shape."""
    return value if _here.size == 1 else summed(value.float()) / _here.size


def highest(number: int) -> int:
    """The highest number that any process has."""
    if _here.size == 1:
        return number
    told = torch.tensor(number)
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return int(told)


def as_first(module: nn.Module) -> None:
    """Give the buffers of a module, such as moving statistics, the values of the first process."""
    if _here.size > 1:
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)
