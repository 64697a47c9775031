"""counterfoil-new method my_method: a method or a metric to begin with, its yaml and its test."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from counterfoil.core.errors import UserError
from counterfoil.util.command import called, configs
from counterfoil.util.record import write_text

METHOD = '''"""MYNAME: what it looks for, in one line."""

from functools import partial

from counterfoil import L1, CrossEntropy, Objective, OptimisedExplainer, Pixels, Search
from counterfoil.core.bounds import Count, Positive, Probability, Weight
from torch import nn
from torch.optim import Adam


class MYCLASS(OptimisedExplainer):
    """min_x'  CE(f(x'), t) + lambda * mean |x' - x|

    Args:
        classifier: see `Explainer`.
        lambda_: weight of the distance, >= 0.
        steps: of the search, >= 1.
        lr: step size, > 0.
        confidence: see `Explainer`.
        count: see `Explainer`.

    Source: title (authors, year), arXiv id.
    """

    def __init__(
        self,
        classifier: nn.Module,
        *,
        lambda_: Weight = 1.0,
        steps: Count = 200,
        lr: Positive = 0.02,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        super().__init__(
            classifier,
            space=Pixels(),
            objective=Objective(CrossEntropy(), distance=L1(lambda_)),
            search=Search(steps, partial(Adam, lr=lr)),
            confidence=confidence,
            count=count,
        )
'''
METHOD_YAML = """# @package explainer.MYNAME
_target_: MYNAME.MYCLASS
lambda_: 1.0
steps: 200
lr: 0.02
confidence: ${confidence}
count: ${count}
"""
METHOD_TEST = '''"""MYNAME keeps what every method promises."""

from counterfoil.testing import TinyClassifier, check_explainer
from MYNAME import MYCLASS


def test_MYNAME_keeps_its_promises() -> None:
    check_explainer(MYCLASS(TinyClassifier(), steps=20))
'''
METRIC = '''"""MYNAME: what it measures, in one line."""

from counterfoil import Counterfactuals, SampleMetric
from torch import Tensor


class MYCLASS(SampleMetric):
    """Mean absolute change of a counterfactual."""

    name = "MYNAME"
    higher_is_better = False
    minimum = 0.0

    def score(self, cf: Counterfactuals) -> Tensor:
        """The value of each row: (B,), NaN where there is none."""
        return cf.delta.abs().flatten(1).mean(1)
'''
METRIC_YAML = """# @package metric.MYNAME
_target_: MYNAME.MYCLASS
"""
METRIC_TEST = '''"""MYNAME keeps what every metric promises."""

from counterfoil.testing import check_metric
from MYNAME import MYCLASS


def test_MYNAME_keeps_its_promises() -> None:
    check_metric(MYCLASS())
'''
KINDS = {
    "method": ("explainer", METHOD, METHOD_YAML, METHOD_TEST),
    "metric": ("metric", METRIC, METRIC_YAML, METRIC_TEST),
}
"""What can be begun -> its config group, its source, yaml and test."""
FOLDER = "my_conf"
"""Folder of the yamls, for --config-dir."""


def new(kind: str, name: str, folder: Path) -> list[Path]:
    """Write source, yaml and test of a method or metric; gives the files.

    Args:
        kind: method or metric.
        name: in lower case, of the module and the yaml; the class is called after it.
        folder: where to.

    Raises:
        UserError: another kind; a name that is taken or none; a file that is there already.
    """
    if kind not in KINDS:
        raise UserError(f"{kind}: expected one of {', '.join(KINDS)}")
    group, *texts = KINDS[kind]
    if not name.isidentifier() or name != name.lower() or name in sys.stdlib_module_names:
        raise UserError(
            f"{name!r} cannot be the name of a {kind}; take small letters and _, such as my_{kind}"
        )
    if (configs() / group / f"{name}.yaml").exists():
        raise UserError(f"{group}={name} exists in counterfoil; take another name")
    files = [folder / f"{name}.py", folder / FOLDER / group / f"{name}.yaml", folder / f"test_{name}.py"]
    there = [str(file) for file in files if file.exists()]
    if there:
        raise UserError(f"{' and '.join(there)} would be written over; remove it, or take another name")
    cls = "".join(part.capitalize() for part in name.split("_"))
    for file, text in zip(files, texts, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text.replace("MYNAME", name).replace("MYCLASS", cls))
    return files


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; its words are KIND NAME."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if len(given) != 2:
            raise UserError(f"expected a kind ({', '.join(KINDS)}) and a name, such as: method my_method")
        kind, name = given
        for file in new(kind, name, Path.cwd()):
            print(file.relative_to(Path.cwd()))
    except UserError as error:
        sys.exit(f"error: {error}")
    chosen = f"explainer=[{name},wachter]" if kind == "method" else f"metric=[success,{name}]"
    command = " ".join([*called("evaluate"), f"--config-dir {FOLDER}", chosen, "train_missing=true"])
    print(f"try it: python -m pytest test_{name}.py && {command}")
