"""Counterfactuals of corrupted queries:  python benchmarks/corruptions.py [--only noise_0.1,blur] [overrides of evaluate.py]

The same n test images are explained clean and under corruptions that no method is told of, towards the runner-up of the clean image. An
counterfactual x' to the corrupted query is held against the method's own counterfactual to the clean query and against the clean query x.

removed = 1 - |x' - x| / |x_c - x|  over the pixels that the counterfactual to the clean query leaves alone (|change| <= 0.1), |.| Euclidean:
1 where the corruption x_c is gone, 0 where all of it stayed, below 0 where it grew.

Writes runs/<name>/<name>.json. Intervals are 95 % over queries.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from common import markdown
from setting import Entry, Setting, cell, entry, save
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.data.corruption import blur, paint_square
from counterfoil.explainer.base import Explainer

UNCHANGED = 0.1
"""A pixel that the counterfactual to the clean query moves by no more than this is left alone."""
SHARES = ("validity", "judge agreement", "removed")
"""Metrics that the table gives in per cent."""


def _noise(x: Tensor, generator: torch.Generator, sigma: float) -> Tensor:
    return (x + sigma * torch.randn(x.shape, generator=generator)).clamp(0, 1)


def _missing(x: Tensor, generator: torch.Generator) -> Tensor:
    gone = torch.rand(len(x), 1, *x.shape[-2:], generator=generator) < 0.3
    return x.masked_fill(gone, 0)


def _blur(x: Tensor, _generator: torch.Generator) -> Tensor:
    return blur(x, 1.0)


def _contrast(x: Tensor, _generator: torch.Generator) -> Tensor:
    return 0.5 + (x - 0.5) / 2


def _square(x: Tensor, generator: torch.Generator) -> Tensor:
    return paint_square(x, 0.25, 0.5, generator)


CORRUPTIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "noise_0.1": partial(_noise, sigma=0.1),
    "noise_0.2": partial(_noise, sigma=0.2),
    "blur": _blur,
    "missing": _missing,
    "contrast": _contrast,
    "square": _square,
}
"""Gaussian noise; a Gaussian of 1 px; 30 % of the pixels at 0; half the contrast; a grey square somewhere, a quarter of the side."""


def removed(counterfactual: Tensor, corrupted: Tensor, clean: Tensor, clean_counterfactual: Tensor) -> Tensor:
    """Share of the corruption (B,) that is gone where the clean query's counterfactual changes nothing; NaN where there was none."""
    kept = (clean_counterfactual - clean).abs().amax(1, keepdim=True) <= UNCHANGED
    left, whole = (
        (image - clean).masked_fill(~kept, 0).flatten(1).norm(dim=1) for image in (counterfactual, corrupted)
    )
    return torch.where(whole > 0, 1 - left / whole, torch.nan)


def measure(
    setting: Setting, images: dict[str, Tensor], target: Tensor, method: Explainer, label: str
) -> dict[str, dict[str, Entry]]:
    """Every corruption under one method."""
    clean = images["clean"]
    reference = setting.counterfactuals(method, clean, target)
    rows: dict[str, dict[str, Entry]] = {}
    for name, corrupted in images.items():
        started = time.perf_counter()
        counterfactual = (
            reference if corrupted is clean else setting.counterfactuals(method, corrupted, target)
        )
        rows[name] = {
            "validity": entry(
                (setting.decided(setting.classifier, counterfactual) == target).double(), share=True
            ),
            "judge agreement": entry(
                (setting.decided(setting.judge, counterfactual) == target).double(), share=True
            ),
            "L1 to the clean counterfactual": entry((counterfactual - reference).abs().flatten(1).mean(1)),
            "L1 to the clean query": entry((counterfactual - clean).abs().flatten(1).mean(1)),
            "removed": entry(removed(counterfactual, corrupted, clean, reference)),
        }
        print(f"{label}, {name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return rows


def table(found: dict[str, dict[str, dict[str, Entry]]]) -> str:
    """A row a corruption and method."""
    metrics = list(next(iter(next(iter(found.values())).values())))
    heads = ["corruption", "method", *(f"{metric} %" if metric in SHARES else metric for metric in metrics)]
    lines = []
    for name in next(iter(found.values())):
        lines += [
            [name, label, *(cell(row[name][m], m in SHARES) for m in metrics)] for label, row in found.items()
        ]
    return markdown(heads, lines)


def chosen(text: str) -> list[str]:
    """Names of corruptions with commas between them; ValueError, which argparse reports, for one that is not known."""
    names = text.split(",")
    if not set(names) <= set(CORRUPTIONS):
        raise ValueError(text)
    return names


def main() -> None:
    """Corrupt, explain, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", type=chosen, default=list(CORRUPTIONS), help=f"some of {','.join(CORRUPTIONS)}"
    )
    parser.add_argument("--name", default="corruptions", help="of the folder in runs/")
    parser.add_argument(
        "overrides",
        nargs="*",
        help="of evaluate.py, such as n=100 data=mnist store=FOLDER explainer=[iso,disc]",
    )
    args = parser.parse_intermixed_args()
    setting = Setting.of(args.overrides)
    clean, target = setting.queries("runner_up")
    images = {"clean": clean}
    for name in args.only:
        generator = torch.Generator().manual_seed(setting.node["seed"])
        images[name] = CORRUPTIONS[name](clean.cpu(), generator).to(clean)
    found = {
        label: measure(setting, images, target, method, label) for label, method in setting.methods().items()
    }
    print(f"{len(clean)} queries, {setting.node['classifier']['name']}\n\n{table(found)}\n")
    print(save(args.name, {"options": vars(args), "methods": found}))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
