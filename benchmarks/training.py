"""What Lightning costs a training step, against a bare loop:  python benchmarks/training.py

Both train the classifier of conf/evaluate.yaml on the same batches from the same loader, with the same network, loss, AdamW and
schedule; the trainer is the one train.py makes, its checkpoint and progress bar included. Blocks of steps are timed in turn.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from common import Times, about, config, machine, markdown, ratios, record
from pytorch_lightning import Callback

from counterfoil.classifier.training import augment
from counterfoil.run.models import Models
from counterfoil.run.store import Store
from counterfoil.run.train import lightning_trainer, training_module
from counterfoil.util.seed import seed_all
from counterfoil.util.training import one_cycle


class Interleave(Callback):
    """Halts Lightning after each block of its steps, to let the bare loop do as many; notes the time of both."""

    def __init__(self, bare: Iterator[None], steps: int, blocks: int) -> None:
        self.bare = bare
        self.steps = steps
        self.blocks = blocks
        self.lightning, self.floor = Times([], []), Times([], [])
        self.done = 0
        self.began: tuple[float, float] | None = None

    def on_train_batch_end(self, trainer: Any, *_args: Any) -> None:
        """The clock runs from one block's end to the next one's, so that what lies between two steps counts too."""
        self.done += 1
        if self.done % self.steps:
            return
        if self.began is not None:
            _note(self.lightning, self.began)
        started = _now()
        for _step in range(self.steps):
            next(self.bare)
        if self.began is not None:
            _note(self.floor, started)
        trainer.should_stop = len(self.floor.wall) >= self.blocks
        self.began = _now()


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _note(times: Times, since: tuple[float, float]) -> None:
    wall, cpu = _now()
    times.wall.append(wall - since[0])
    times.cpu.append(cpu - since[1])


def bare_loop(module: Any, loader: Any, steps: int) -> Iterator[None]:
    """The same training written out; a step each time it is asked."""
    net = module.net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=module.lr, weight_decay=module.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step / steps))
    while True:
        for batch in loader:
            x = augment(batch.x, module.shift, module.flip)
            loss = F.cross_entropy(
                net((x - module.mean) / module.std), batch.y, label_smoothing=module.label_smoothing
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            yield


def measure(node: dict[str, Any], args: argparse.Namespace, work: Path) -> tuple[Times, Times]:
    """Seconds of each block under Lightning and bare."""
    models = Models(Store(work), node["data"])
    classifier = node["classifier"]
    training = {**classifier.training, "batch_size": args.batch_size}
    seed_all(node["seed"])
    module = training_module(replace(classifier, training=training), models)
    data = module.prepare(models.data)
    data.setup()
    loader = data.train_dataloader()
    total = (args.blocks + 1) * args.steps
    interleaver = Interleave(bare_loop(copy.deepcopy(module), loader, total), args.steps, args.blocks)
    trainer = lightning_trainer(
        {**node["trainer"], "limit_val_batches": 0}, -(-total // len(loader)), work, False
    )
    trainer.callbacks.append(interleaver)
    trainer.fit(module, datamodule=data)
    return interleaver.lightning, interleaver.floor


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20, help="of a block")
    parser.add_argument("--blocks", type=int, default=15, help="of each loop")
    parser.add_argument("--threads", type=int, default=1, help="of torch on the CPU")
    parser.add_argument("overrides", nargs="*", help="of the config, such as classifier=resnet or data=mnist")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    before = machine()
    with tempfile.TemporaryDirectory() as work:
        lightning, bare = measure(config("trainer.accelerator=cpu", *args.overrides), args, Path(work))
    ratio = ratios(lightning, bare)
    print(_table(lightning, bare, ratio, args))
    print(f"\nBefore: {about(before)}\nAfter: load {' '.join(map(str, machine()['load_average']))}")
    content = {
        "machine": before,
        "options": vars(args),
        "lightning": vars(lightning),
        "bare": vars(bare),
        "ratio": ratio,
    }
    print(record("training", content))


def _table(lightning: Times, bare: Times, ratio: dict[str, float], args: argparse.Namespace) -> str:
    def row(name: str, times: Times) -> list[str]:
        figures = (min(times.wall), statistics.median(times.wall), min(times.cpu))
        return [name, *(f"{1000 * seconds / args.steps:.2f}" for seconds in figures)]

    last = ["ratio", *(f"{ratio[key]:.3f}" for key in ("min", "median", "cpu"))]
    heads = [
        f"batch {args.batch_size}, blocks of {args.steps} steps",
        "ms/step, min",
        "ms/step, median",
        "CPU ms/step, min",
    ]
    return markdown(heads, [row("Lightning", lightning), row("bare loop", bare), last])


if __name__ == "__main__":
    main()
