"""What a strip costs beside the bare networks:  python benchmarks/progressive.py [--size 28] [--batch 64] [--device cpu]

One encoder pass, one decoder pass a bin and one classifier pass an image of the strip are what the method needs. Printed is its time
over that of these passes alone, and over encoder and decoder alone with `strip=False`, the medians of interleaved repetitions.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.cnn import CNN
from counterfoil.core.query import Query
from counterfoil.explainer.progressive import Progressive
from counterfoil.generative.exaggerator import Exaggerator


def main() -> None:
    """Print three ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in (("size", 28), ("batch", 64), ("repeats", 15), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    channels = 1 if options.size <= 28 else 3
    classifier = Classifier(CNN(channels, 2, width=16)).to(options.device)
    generator = Exaggerator(channels, options.size, 2).eval().to(options.device)
    x = torch.rand(options.batch, channels, options.size, options.size, device=options.device)
    compare(classifier, generator, x, options.repeats)


@torch.no_grad()
def compare(classifier: nn.Module, generator: Exaggerator, x: torch.Tensor, repeats: int) -> None:
    """Time explaining against the passes it consists of."""
    target = 1 - classifier(x).argmax(1)
    bins, one = generator.knob.bins, torch.ones(len(x), dtype=torch.int64, device=x.device)

    def query() -> Query:
        asked = Query(x, target, classifier)
        asked.__dict__["logits"] = logits  # the base class has asked before it lets a method explain
        return asked

    def networks(number: int, graded: bool) -> None:
        code = generator.encode(x)
        for k in range(number):
            frame = generator.decode(code, k * one)
            if graded:
                classifier(frame)

    logits = classifier(x)
    strip, single = Progressive(classifier, generator), Progressive(classifier, generator, strip=False, confidence=0.9)
    cases: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        f"strip, encoder + {bins} decoder + {bins} classifier passes": (lambda: strip.explain(query()), lambda: networks(bins, True)),
        "single bin, encoder + decoder pass": (lambda: single.explain(query()), lambda: networks(1, False)),
        "single bin against a whole strip": (lambda: single.explain(query()), lambda: strip.explain(query())),
    }
    for name, (method, bare) in cases.items():
        a, b = interleaved(method, bare, repeats, x.device)
        print(f"{name:60} {1e3 * a:8.2f} ms / {1e3 * b:8.2f} ms = {a / b:.3f}")


def interleaved(one: Callable[[], object], two: Callable[[], object], repeats: int, device: torch.device) -> tuple[float, float]:
    """Median seconds of both, taken in turns so that a busy machine slows both."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 2):
        for call, kept in zip((one, two), times, strict=True):
            started = time.perf_counter()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn >= 2:
                kept.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    main()
