"""Does a classifier's score tell images of its data from what is none?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.score import Score, default_score, network
from counterfoil.core.errors import CounterfoilWarning
from counterfoil.core.taps import read
from counterfoil.util.rank import ranks

SAMPLE = 1000
"""Images looked at."""
GOOD = 0.85
"""AUROC below which a warning is shown."""


def check_score(
    classifier: Any, x: Tensor, outside: Mapping[str, Tensor], score: Score | None = None
) -> dict[str, float]:
    """Measure how well a score tells outliers, and warn once where it does not.

    Args:
        classifier: a `Classifier`, or any network that takes images in [0, 1].
        x: images (B, C, H, W) in [0, 1] of the data, such as validation images or the queries.
        outside: outliers (M, C, H, W) in [0, 1] by kind, such as `ImageData.outliers` makes.
        score: the score; by default the best that the classifier carries.

    Returns:
        AUROC in [0, 1] by kind of outlier; 0.5 is chance.
    """
    score = score or default_score(classifier)
    found = auroc_by_kind(classifier, x, outside, score)
    weak = {kind: value for kind, value in found.items() if value < GOOD}
    if weak:
        told = ", ".join(f"{value:.2f} against {kind.replace('_', ' ')}" for kind, value in weak.items())
        warnings.warn(
            f"{type(score).__name__} of {type(network(classifier)).__name__} is a weak guard of the "
            "manifold: "
            f"AUROC {told}, expected {GOOD}; {_advice(classifier)}",
            CounterfoilWarning,
            stacklevel=2,
        )
    return found


def _advice(classifier: Any) -> str:
    """Another classifier is no advice where the user explains one of their own."""
    package = __name__.split(".")[0]
    if getattr(classifier, "given", False) or type(network(classifier)).__module__.split(".")[0] != package:
        return "choose another score, or leave its term out (lambda_2=0)"
    return "choose classifier=duq or dep, or another score"


def report_auroc(training: Any) -> None:
    """Log the AUROC of the score that a training's network carries as test figures, one a kind of outlier."""
    classifier = Classifier(
        training.net, training.mean.flatten().tolist(), training.std.flatten().tolist()
    ).to(training.device)
    data = training.trainer.datamodule
    x = data.test[range(min(SAMPLE, len(data.test)))].x.to(training.device)
    found = auroc_by_kind(classifier, x, data.outliers(x), default_score(classifier))
    training.report("test", {f"auroc_{kind}": torch.tensor(value) for kind, value in found.items()}, len(x))


def auroc_by_kind(
    classifier: Any, x: Tensor, outside: Mapping[str, Tensor], score: Score
) -> dict[str, float]:
    """AUROC of images (B, C, H, W) against outliers (M, C, H, W) of each kind, by the classifier's score."""
    inside = measure(classifier, x, score)
    return {kind: auroc(inside, measure(classifier, y, score)) for kind, y in outside.items()}


def measure(classifier: Any, x: Tensor, score: Score) -> Tensor:
    """The score (B,) of images (B, C, H, W), without gradient, in parts."""
    like = next(iter(classifier.parameters()), x)
    layers = score.layers(classifier)
    with torch.no_grad():
        parts = [part.to(like) for part in x.split(256)]
        return torch.cat(
            [score(classifier, part, *read(classifier, part, layers)).float().cpu() for part in parts]
        )


def auroc(inside: Tensor, outside: Tensor) -> float:
    """Share in [0, 1] of pairs of scores (N,) and (M,) in which the outlier's is higher; ties count half."""
    both = torch.cat((inside, outside)).double()
    number = len(outside)
    return float((ranks(both)[len(inside) :].sum() - number * (number + 1) / 2) / (number * len(inside)))
