"""A training by several processes: those that are started beside this one, and how Lightning sees them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy

from counterfoil.core.errors import UserError
from counterfoil.run.devices import devices_in
from counterfoil.run.ranks import POLL, Helpers, threads
from counterfoil.util import together

LAST_WORDS = 5.0
"""Seconds that a process that has failed is given to say why."""
MULTIPLE_GPUS = "cpu:gloo,cuda:nccl"


class Seat(NamedTuple):
    """What a process that is started beside another needs to know of itself.

    Attributes:
        rank: its number, from 1.
        size: how many there are with the first.
        port: where they meet.
        threads: of each.
        backend: of torch.distributed.
    """

    rank: int
    size: int
    port: int
    threads: int
    backend: str

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Within, this process is one of them."""
        with together.joined(self.rank, self.size, together.reach(self.port), self.backend):
            yield


@contextmanager
def beside(trainer: Mapping[str, Any], work: Callable[[Seat], None]) -> Iterator[None]:
    """Within, this process is the first of as many as the options of a trainer ask for.

    Args:
        trainer: options of Lightning's trainer.
        work: what each of the others does in its seat; can be pickled.

    Raises:
        UserError: another process has ended before its work was done.
    """
    number = devices_in(trainer)
    if number == 1:
        yield
        return
    on_cpu = trainer.get("accelerator") == "cpu" or not torch.cuda.is_available()
    place, backend = together.called(), "gloo" if on_cpu else MULTIPLE_GPUS
    with threads(None, number) as each:
        seats = [Seat(rank, number, place.port, each, backend) for rank in range(1, number)]
        with Helpers({seat.rank: partial(work, seat) for seat in seats}, number, grace=0.0) as helpers:
            together.wait_for(place, len(seats), helpers.check)
            try:
                with together.joined(0, number, place, backend):
                    yield
                helpers.wait()
            except UserError:
                raise
            except Exception:  # what is lost with another process looks like an error of the network
                _hear(helpers)
                raise


def _hear(helpers: Helpers) -> None:
    """Raise what another process says of its end, if one ends now."""
    until = time.monotonic() + LAST_WORDS
    while time.monotonic() < until:
        helpers.check()
        time.sleep(POLL)


class Seated(LightningEnvironment):
    """Tells Lightning which of the processes this is, all of which are there already."""

    def local_rank(self) -> int:
        """Its number on this machine."""
        return together.rank()

    def node_rank(self) -> int:
        """There is one machine."""
        return 0


class Together(DDPStrategy):
    """DDP among processes that have met already; validation is each one's own affair."""

    def _configure_launcher(self) -> None:
        """Nobody is to be started."""

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:
        """One step, not through DDP: a process may have a batch less than another."""
        assert self.lightning_module is not None
        with self.precision_plugin.val_step_context():
            return self.lightning_module.validation_step(*args, **kwargs)


class OneModel(pl.Callback):
    """All processes validate the model that is kept: the first one's, moving statistics included."""

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Take over its buffers."""
        together.as_first(pl_module)


def options_of(trainer: Mapping[str, Any], module: Any) -> dict[str, Any]:
    """The options of a trainer, with what makes it one of the processes that have met."""
    given = {key: value for key, value in trainer.items() if value is not None}
    named = str(given.get("strategy", ""))
    if named.startswith("ddp"):
        del given["strategy"]
    if together.size() == 1:
        return given
    parts = module.leaves_out or not module.automatic_optimization or named.endswith("unused_parameters_true")
    plugins = [*given.get("plugins", []), Seated()]
    given |= {"strategy": Together(find_unused_parameters=parts), "plugins": plugins}
    return given | {"use_distributed_sampler": False}
