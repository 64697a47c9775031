"""Seconds a counterfactual against the bare networks, and the gain of leaving finished queries out:  python benchmarks/search.py

The floor is what no search can avoid: decode, classify, loss, gradient to the variables, Adam, for the same networks, queries, number
of steps and batch size, without any record of the best point. Both run in turn in one process. Networks are those of conf/evaluate.yaml
on the shipped digits, trained once into models/.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from common import Times, about, config, interleave, machine, markdown, ratios, record, trained
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.explainer.revise import Revise
from counterfoil.explainer.wachter import Wachter

CONFIDENCE = 0.95


def methods(classifier: nn.Module, vae: nn.Module, **options: Any) -> dict[str, OptimisedExplainer]:
    """Both methods, with one round each."""
    common = {"confidence": CONFIDENCE, "rounds": 1, **options}
    return {"revise": Revise(classifier, vae, **common), "wachter": Wachter(classifier, **common)}


def bare_revise(classifier: nn.Module, vae: Any, x: Tensor, target: Tensor, steps: int) -> Tensor:
    """The floor under `revise` at its defaults."""
    return _bare(classifier, vae.encode(x).detach(), vae.decode, x, target, steps, weight=8.0, lr=0.05)


def bare_wachter(classifier: nn.Module, vae: nn.Module, x: Tensor, target: Tensor, steps: int) -> Tensor:
    """The floor under `wachter` at its defaults, without its clamp to [0, 1]."""
    return _bare(classifier, x.clone(), lambda variable: variable, x, target, steps, weight=20.0, lr=0.02)


def _bare(
    classifier: nn.Module,
    start: Tensor,
    decode: Callable[[Tensor], Tensor],
    x: Tensor,
    target: Tensor,
    steps: int,
    weight: float,
    lr: float,
) -> Tensor:
    variable = start.requires_grad_()
    optimizer = torch.optim.Adam([variable], lr=lr)
    for _ in range(steps):
        decoded = decode(variable)
        loss = (
            F.cross_entropy(classifier(decoded), target, reduction="sum")
            + weight * (decoded - x).abs().flatten(1).mean(1).sum()
        )
        (variable.grad,) = torch.autograd.grad(loss, variable)
        optimizer.step()
    return variable.detach()


def against_floor(
    classifier: nn.Module, vae: nn.Module, x: Tensor, target: Tensor, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Full-length searches, no early stop, so that both sides do the same steps."""
    rows = []
    bare = {"revise": bare_revise, "wachter": bare_wachter}
    for name, explainer in methods(classifier, vae, steps=args.steps, patience=None).items():
        for n in args.queries:
            floor = partial(bare[name], classifier, vae, x[:n], target[:n], args.steps)
            repeats = args.repeats if n >= 64 else 4 * args.repeats
            times = interleave(
                {"ours": partial(explainer, x[:n], target[:n]), "floor": floor}, repeats, _wait(args.device)
            )
            seconds = {key: value.per(n) for key, value in times.items()}
            rows.append(
                {
                    "method": name,
                    "queries": n,
                    "repeats": repeats,
                    **seconds,
                    "ratio": ratios(times["ours"], times["floor"]),
                }
            )
            print(f"{name}, {n} queries: ratio {rows[-1]['ratio']['median']:.3f}", file=sys.stderr)
    return rows


def leaving_out(
    classifier: nn.Module, vae: nn.Module, x: Tensor, target: Tensor, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Searches that stop each query at its first counterfactual: finished queries leave the batch, or are carried along."""
    rows = []
    n = max(args.queries)
    for name, leaving in methods(classifier, vae, patience=0).items():
        staying = methods(classifier, vae, patience=0)[name]
        staying.search.crowd = 1.1
        left = leaving(x[:n], target[:n])
        cases = {"leave": partial(leaving, x[:n], target[:n]), "stay": partial(staying, x[:n], target[:n])}
        repeats = max(1, args.repeats // 2)
        times = interleave(cases, repeats, _wait(args.device), warm=False)
        rows.append({"method": name, "queries": n, "repeats": repeats, **_counts(left), **_gain(times, n)})
        print(f"{name}, leaving out: gain {rows[-1]['gain']['median']:.2f}", file=sys.stderr)
    return rows


def _counts(counterfactuals: Counterfactuals) -> dict[str, float]:
    steps = counterfactuals.steps
    return {
        "mean_steps": float(steps.mean()),
        "most_steps": float(steps.max()),
        "valid": float(counterfactuals.valid.double().mean()),
    }


def _gain(times: dict[str, Times], n: int) -> dict[str, Any]:
    return {
        "leave": times["leave"].per(n),
        "stay": times["stay"].per(n),
        "gain": ratios(times["stay"], times["leave"]),
    }


def _wait(device: str) -> Callable[[], None]:
    return torch.cuda.synchronize if device.startswith("cuda") else lambda: None


def _tables(floors: list[dict[str, Any]], gains: list[dict[str, Any]], steps: int) -> str:
    heads = [
        "method",
        "queries",
        "ours, s min (median)",
        "floor, s min (median)",
        "ratio min",
        "ratio median",
        "ratio CPU",
    ]
    first = [
        [
            *_name(row),
            _spread(row["ours"]),
            _spread(row["floor"]),
            *(f"{v:.3f}" for v in row["ratio"].values()),
        ]
        for row in floors
    ]
    more = [
        "method",
        "queries",
        "valid",
        "steps, mean (most)",
        "leaving, s min (median)",
        "staying, s min (median)",
    ]
    more += ["gain min", "gain median", "gain CPU"]
    second = [
        [
            *_name(row),
            *_reached(row),
            _spread(row["leave"]),
            _spread(row["stay"]),
            *(f"{v:.2f}" for v in row["gain"].values()),
        ]
        for row in gains
    ]
    return (
        f"Seconds a counterfactual, {steps} steps without early stop, against decode + classify + backward + Adam alone\n\n"
        f"{markdown(heads, first)}\n\n"
        f"Seconds a counterfactual, a query stops at confidence {CONFIDENCE}: finished queries leave the batch, or stay in it\n\n"
        f"{markdown(more, second)}"
    )


def _name(row: dict[str, Any]) -> list[str]:
    return [row["method"], str(row["queries"])]


def _reached(row: dict[str, Any]) -> list[str]:
    return [f"{100 * row['valid']:.1f} %", f"{row['mean_steps']:.1f} ({row['most_steps']:.0f})"]


def _spread(seconds: dict[str, float]) -> str:
    return f"{seconds['min']:.4f} ({seconds['median']:.4f})"


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, nargs="+", default=[1, 16, 256], help="batch sizes")
    parser.add_argument("--steps", type=int, default=100, help="of each full-length search")
    parser.add_argument(
        "--repeats", type=int, default=5, help="of each large batch; small ones run four times as often"
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch on the CPU")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "overrides", nargs="*", help="of the config, such as classifier.net.width=32 or store=FOLDER"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    models, (classifier, vae) = trained(config(*args.overrides), ("classifier", "generative"), args.device)
    x = models.data.test[range(max(args.queries))].x.to(args.device)
    with torch.no_grad():
        target = classifier(x).topk(2, dim=1).indices[:, 1]
    before = machine(args.device)
    floors = against_floor(classifier, vae, x, target, args)
    gains = leaving_out(classifier, vae, x, target, args)
    print(_tables(floors, gains, args.steps))
    print(
        f"\nBefore: {about(before)}\nAfter: load {' '.join(map(str, machine(args.device)['load_average']))}"
    )
    print(record("search", {"machine": before, "options": vars(args), "floor": floors, "leaving_out": gains}))


if __name__ == "__main__":
    main()
