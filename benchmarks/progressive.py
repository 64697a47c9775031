"""What progressive exaggeration costs beside its bare networks:  python benchmarks/progressive.py [--size 28] [--batch 64] [--device cpu]

A strip needs one encoder pass and one decoder pass a bin; an explanation one classifier pass a bin more; with `strip=False` the
confidence picks one bin, drawn by one encoder and one decoder pass. Each is timed in turn with these passes alone, and its passes are
counted.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from common import about, interleave, machine, markdown, ratios, record

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.cnn import CNN
from counterfoil.core.query import Query
from counterfoil.explainer.progressive import Progressive
from counterfoil.generative.exaggeration.network import Exaggerator


@dataclass
class Subject:
    """One batch of queries, the method in both forms, and the passes it consists of."""

    classifier: Classifier
    generator: Exaggerator
    x: torch.Tensor
    confidence: float

    def __post_init__(self) -> None:
        with torch.no_grad():
            self.logits = self.classifier(self.x)
        self.target = 1 - self.logits.argmax(1)
        self.whole = Progressive(self.classifier, self.generator, confidence=self.confidence)
        self.single = Progressive(self.classifier, self.generator, strip=False, confidence=self.confidence)

    def query(self) -> Query:
        """A fresh query; the base class has asked the classifier before it lets a method explain."""
        asked = Query(self.x, self.target, self.classifier, self.confidence)
        asked.__dict__["logits"] = self.logits
        return asked

    @torch.no_grad()
    def passes(self, bins: int, graded: bool) -> None:
        """The networks alone."""
        code = self.generator.encode(self.x)
        cells = torch.ones_like(self.target)
        for k in range(bins):
            frame = self.generator.decode(code, k * cells)
            if graded:
                self.classifier(frame)

    def cases(self) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
        """What is timed, and the passes that it is timed against."""
        bins = self.generator.knob.bins
        return {
            "strip": (lambda: self.whole.frames(self.query()), lambda: self.passes(bins, False)),
            "explanation with strip": (
                lambda: self.whole.explain(self.query()),
                lambda: self.passes(bins, True),
            ),
            "one bin by confidence": (
                lambda: self.single.explain(self.query()),
                lambda: self.passes(1, False),
            ),
        }

    def counted(self, call: Callable[[], object]) -> Counter[str]:
        """Passes of each network in one call."""
        seen: Counter[str] = Counter()
        hooks = [
            module.register_forward_hook(lambda *_, name=name: seen.update([name]))
            for name, module in (
                ("encoder", self.generator.stem),
                ("decoder", self.generator.head),
                ("classifier", self.classifier),
            )
        ]
        call()
        for hook in hooks:
            hook.remove()
        return seen


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("size", 28), ("batch", 64), ("repeats", 15), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--confidence", type=float, default=0.9)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    channels = 1 if args.size <= 28 else 3
    classifier = Classifier(CNN(channels, 2, width=16)).to(args.device)
    generator = Exaggerator(channels, args.size, 2).eval().to(args.device)
    subject = Subject(
        classifier,
        generator,
        torch.rand(args.batch, channels, args.size, args.size, device=args.device),
        args.confidence,
    )
    before, cases = machine(args.device), subject.cases()
    synchronize = torch.cuda.synchronize if args.device.startswith("cuda") else lambda: None
    flat = {
        f"{name}/{part}": call
        for name, pair in cases.items()
        for part, call in zip(("ours", "bare"), pair, strict=True)
    }
    times = interleave(flat, args.repeats, synchronize)
    rows, kept = [], {}
    for name, (ours, _bare) in cases.items():
        ratio, passes = ratios(times[f"{name}/ours"], times[f"{name}/bare"]), subject.counted(ours)
        figures = [times[f"{name}/{part}"].per(1)["median"] for part in ("ours", "bare")]
        told = ", ".join(f"{passes[part]} {part}" for part in ("encoder", "decoder", "classifier"))
        rows.append(
            [
                name,
                told,
                *(f"{1000 * figure:.2f}" for figure in figures),
                *(f"{ratio[key]:.3f}" for key in ("min", "median", "cpu")),
            ]
        )
        kept[name] = {"passes": dict(passes), "ratio": ratio}
    single = ratios(times["one bin by confidence/ours"], times["strip/ours"])
    print(
        markdown(
            ["", "passes", "ms, median", "bare ms, median", "ratio, min", "ratio, median", "ratio, CPU min"],
            rows,
        )
    )
    print(f"\nOne bin over a strip of {generator.knob.bins}: {single['median']:.3f}.  {about(before)}")
    print(
        record(
            "progressive",
            {"machine": before, "options": vars(args), "cases": kept, "single_over_strip": single},
        )
    )


if __name__ == "__main__":
    main()
