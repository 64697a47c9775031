"""Is a painted square filled with what belongs there?  python benchmarks/masked_square.py [--value 0] [overrides of evaluate.py]

A square is painted over the middle of n test images, and each image is asked to be of its own class, that of the clean image. From the
pre-image of the painted one three objectives descend a fixed number of steps: preservation alone, with the class term, and with manifold
consistency, as `disc` of the config has them. The last image counts, not the best one, so that no counterfactual is picked by the classifier.
Error: mean |difference| inside the square, against the clean and against the painted image. The last row of the table is the paired
difference that manifold consistency makes. Choose classifier=duq or classifier=dep for their scores; cnn has its energy. The score itself
stands beside the errors: where it falls to that of clean images while the square stays, the classifier has been satisfied, not the eye.
Writes runs/<name>/<name>.json and .png. Intervals are 95 % over queries.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from common import ROOT, markdown
from setting import Entry, Setting, cell, entry, save
from torch import Tensor

from counterfoil.classifier.outlier import measure as score_of
from counterfoil.classifier.score import default_score
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.core.taps import read
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.report.grid import enlarge, grid, save_png
from counterfoil.search.candidate import Candidate

VARIANTS: dict[str, dict[str, float]] = {
    "preservation": {"lambda_2": 0.0, "lambda_3": 0.0},
    "+ class term": {"lambda_2": 0.0},
    "+ manifold consistency": {},
}
"""Options of `disc` that each variant changes."""


def middle(x: Tensor, side: int) -> Tensor:
    """Where the square lies: bool (1, 1, H, W)."""
    height, width = x.shape[-2:]
    if not 0 < side <= min(height, width):
        raise UserError(f"--side {side}: expected 1 to {min(height, width)}, the size of the images")
    inside = torch.zeros(1, 1, height, width, dtype=torch.bool, device=x.device)
    top, left = (height - side) // 2, (width - side) // 2
    inside[..., top : top + side, left : left + side] = True
    return inside


def descend(method: OptimisedExplainer, query: Query, steps: int) -> Tensor:
    """The image (B, C, H, W) after `steps` from the pre-image, which the query keeps for the next method."""
    space, objective = method.space, method.objective
    layers = objective.layers(query.classifier)
    query.features(layers)
    start = space.start(query)
    variables = {
        name: value.detach().clone().requires_grad_(name not in space.held) for name, value in start.items()
    }
    optimizer = method.search.optimizer([value for value in variables.values() if value.requires_grad])
    ones = torch.ones_like(query.factual[:, 0, 0, 0])
    for step in range(steps):
        decoded = space.decode(query, variables)
        logits, features = read(query.classifier, decoded, layers)
        candidate = Candidate(variables, decoded, logits, step / method.search.steps, features)
        total, _parts = objective(query, candidate, ones, objective.distance(query, candidate))
        optimizer.zero_grad(set_to_none=True)
        total.sum().backward()
        optimizer.step()
    with torch.no_grad():
        return space.decode(query, variables)


def images(setting: Setting, clean: Tensor, painted: Tensor, target: Tensor, steps: int) -> dict[str, Tensor]:
    """What there is to compare: clean, painted, pre-image, and the end of each variant."""
    methods = {name: setting.method("disc", **changed) for name, changed in VARIANTS.items()}
    found: dict[str, list[Tensor]] = {name: [] for name in ("pre-image", *methods)}
    for x, t in zip(
        painted.split(setting.node["batch_size"]), target.split(setting.node["batch_size"]), strict=True
    ):
        query = Query(x, t, setting.classifier, generator=next(iter(methods.values())).generator)
        for name, method in methods.items():
            assert isinstance(method, OptimisedExplainer)
            if name == next(iter(methods)):
                found["pre-image"].append(descend(method, query, 0))
            found[name].append(descend(method, query, steps))
    return {"clean": clean, "painted": painted, **{name: torch.cat(parts) for name, parts in found.items()}}


def measure(
    setting: Setting, shown: dict[str, Tensor], inside: Tensor, target: Tensor
) -> dict[str, dict[str, Entry]]:
    """Errors inside the square, and whether classifier and judge see the class of the clean image."""
    rows = {}
    for name, image in shown.items():
        errors = {key: _error(image, shown[key], inside) for key in ("clean", "painted")}
        rows[name] = {f"error against {key}": entry(value) for key, value in errors.items()}
        for key, network in (("judge", setting.judge), ("classifier", setting.classifier)):
            rows[name][key] = entry((setting.decided(network, image) == target).double(), share=True)
        rows[name]["score"] = entry(score_of(setting.classifier, image, default_score(setting.classifier)))
    without, full = (_error(shown[name], shown["clean"], inside) for name in list(VARIANTS)[1:])
    rows["manifold consistency, difference"] = {"error against clean": entry(full - without)}
    return rows


def _error(image: Tensor, other: Tensor, inside: Tensor) -> Tensor:
    where = inside.expand_as(image)
    return (image - other).abs().masked_fill(~where, 0).flatten(1).sum(1) / where[0].count_nonzero()


def table(rows: dict[str, dict[str, Entry]]) -> str:
    """A row an image."""
    heads = [
        "",
        "error against clean",
        "error against painted",
        "judge sees the class %",
        "classifier sees it %",
        "score",
    ]
    keys = ["error against clean", "error against painted", "judge", "classifier", "score"]
    return markdown(
        heads,
        [
            [name, *(cell(row[k], k in ("judge", "classifier")) if k in row else "" for k in keys)]
            for name, row in rows.items()
        ],
    )


def draw(shown: dict[str, Tensor], columns: int) -> Any:
    """A row a kind of image, a column a query."""
    columns = min(columns, len(shown["clean"]))
    tiles = torch.cat([image[:columns].cpu() for image in shown.values()])
    return enlarge(grid(tiles, columns), max(1, -(-56 // tiles.shape[-1])))


def main() -> None:
    """Paint, descend, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=8, help="of the square, in pixels")
    parser.add_argument("--value", type=float, default=0.0, help="its brightness: 0 black, 1 white")
    parser.add_argument("--steps", type=int, default=100, help="of each descent")
    parser.add_argument("--columns", type=int, default=16, help="of the picture")
    parser.add_argument("--name", default="masked_square", help="of the folder in runs/")
    parser.add_argument(
        "overrides", nargs="*", help="of evaluate.py, such as n=100 data=mnist classifier=duq store=FOLDER"
    )
    args = parser.parse_intermixed_args()
    setting = Setting.of(args.overrides)
    clean, _runner_up = setting.queries("runner_up")
    target = setting.decided(setting.classifier, clean)
    inside = middle(clean, args.side)
    painted = torch.where(inside, torch.full_like(clean, args.value), clean)
    shown = images(setting, clean, painted, target, args.steps)
    rows = measure(setting, shown, inside, target)
    print(
        f"{len(clean)} queries, {args.side} x {args.side} pixels of {args.value:g}, {setting.node['classifier']['name']}\n\n{table(rows)}\n"
    )
    print(save(args.name, {"options": vars(args), "rows": rows}))
    print(save_png(ROOT / "runs" / args.name / f"{args.name}.png", draw(shown, args.columns)))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
