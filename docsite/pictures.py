"""The picture on a method's page, out of a run's counterfactuals.

python evaluate.py experiment=mnist data.root=FOLDER store=weights n=10 run_dir=runs/pictures \\
    explainer=[nearest,wachter,...] metric=[validity] train_missing=true logger=none
    (experiment=attributes for gci, aip and random_attributes, pe_mnist_all target=runner_up for progressive,
    pe_mnist_0_1_own for cyclegan)
python -m docsite.pictures runs/pictures      writes docs/methods/<method>.png of each
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from counterfoil import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.report.grid import overview, save_png

FOLDER = Path(__file__).parents[1] / "docs" / "methods"
COLUMNS = 10


def draw(runs: Iterable[Path], folder: Path = FOLDER) -> list[Path]:
    """Queries, counterfactuals and changes of each method of the runs, a PNG each.

    Raises:
        UserError: a folder holds no counterfactuals.
    """
    written = []
    for run in runs:
        found = sorted((run / "counterfactuals").glob("*/"))
        if not found:
            raise UserError(
                f"{run} holds no counterfactuals; give the folder of a run, such as runs/pictures"
            )
        for method in found:
            files = sorted(method.glob("*.safetensors"))
            rows = Counterfactuals.cat([Counterfactuals.load(file) for file in files])
            written.append(save_png(folder / f"{method.name}.png", overview(rows, COLUMNS)))
    return written


if __name__ == "__main__":
    for path in draw(map(Path, sys.argv[1:])):
        print(path)
