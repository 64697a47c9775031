"""Steps of Lightning, checkpoint and progress bar included, against a bare loop over the same batches."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning import Callback
from subject import Subject
from timing import Options, Row, Times, descent, now, take
from torch import Tensor

from counterfoil.classifier.training import augment
from counterfoil.run.train import lightning_trainer, training_module
from counterfoil.util.seed import seed_all
from counterfoil.util.training import one_cycle

DEFAULTS = Options(queries=(256,), steps=20, repeats=15)


def rows(options: Options) -> Iterator[Row]:
    """The classifier of the config, for each size of batch."""
    subject = Subject(options, "trainer.accelerator=cpu")
    for size in options.queries:
        with tempfile.TemporaryDirectory() as work:
            yield Row(f"batch of {size}", measure(subject, size, options, Path(work)), "step")


def measure(subject: Subject, size: int, options: Options, work: Path) -> dict[str, Times]:
    """Seconds per step under Lightning and bare."""
    recipe = subject.run.explained
    seed_all(recipe.seed)
    module = training_module(
        replace(recipe, training={**recipe.training, "batch_size": size}), subject.models
    )
    data = module.prepare(subject.models.data)
    data.setup()
    loader = data.train_dataloader()
    total = (options.repeats + 1) * options.steps
    turns = Turns(bare(copy.deepcopy(module), loader, total), options)
    trainer_options = {**subject.run.trainer, "limit_val_batches": 0}
    trainer = lightning_trainer(trainer_options, -(-total // len(loader)), work, [], turns)
    trainer.fit(module, datamodule=data)
    return turns.times


def bare(module: Any, loader: Any, steps: int) -> Iterator[None]:
    """The same training written out."""
    net, batches = module.net.train(), chain.from_iterable(repeat(loader))

    def loss() -> Tensor:
        batch = next(batches)
        outputs = net((augment(batch.x, module.shift, module.flip) - module.mean) / module.std)
        return F.cross_entropy(outputs, batch.y, label_smoothing=module.label_smoothing)

    def optimizer(weights: list[Tensor]) -> Any:
        made = torch.optim.AdamW(weights, lr=module.lr, weight_decay=module.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(made, lambda step: one_cycle(step / steps))
        made.register_step_post_hook(lambda *_: schedule.step())
        return made

    return descent(list(net.parameters()), loss, optimizer)


class Turns(Callback):
    """Halts Lightning after each block of its steps, lets the bare loop do as many, and times both."""

    def __init__(self, floor: Iterator[None], options: Options) -> None:
        self.floor, self.steps, self.repeats = floor, options.steps, options.repeats
        self.times = {"ours": Times(), "floor": Times()}
        self.done = 0
        self.began = now()

    def on_train_batch_end(self, trainer: Any, *_args: Any) -> None:
        """A block begins where the other loop's ends, so that all between two steps counts; one warms up."""
        self.done += 1
        if self.done % self.steps:
            return
        warm = self.done > self.steps
        if warm:
            self.times["ours"].note(self.began, self.steps)
        self.began = now()
        take(self.floor, self.steps)
        if warm:
            self.times["floor"].note(self.began, self.steps)
        trainer.should_stop = len(self.times["floor"].wall) >= self.repeats
        self.began = now()
