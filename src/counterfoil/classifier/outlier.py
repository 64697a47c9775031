"""Does a classifier's score tell images of its data from what is none?"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.score import Score, default_score, network
from counterfoil.core.errors import CounterfoilWarning
from counterfoil.core.taps import read
from counterfoil.data.corruption import noise_like, paint_square, shuffle_pixels
from counterfoil.data.digits import Digits
from counterfoil.data.idx import FashionMnist
from counterfoil.util.rank import ranks

SAMPLE = 1000
"""Images looked at."""
GOOD = 0.85
"""AUROC below which a warning is shown."""
SIDE = 0.3
"""Side of the painted squares, as a share of the image's."""
PLACES = 4
"""Places drawn for a square, of which the one that changes the image most is taken: on a ground of its own colour it hides nothing."""


def check_score(classifier: Any, data: Any, score: Score | None = None) -> dict[str, float]:
    """Measure how well a score tells outliers, and print one warning where it does not.

    Args:
        classifier: a `Classifier`, or any network that takes images in [0, 1].
        data: an `ImageData`, whose validation images are taken, or images (B, C, H, W) in [0, 1], such as the queries.
        score: the score; by default the best that the classifier carries.

    Returns:
        AUROC in [0, 1] by kind of outlier; 0.5 is chance.
    """
    score = score or default_score(classifier)
    x, name = (
        (data[:SAMPLE], "")
        if isinstance(data, Tensor)
        else (data.val[range(min(SAMPLE, len(data.val)))].x, _known(data))
    )
    found = auroc_by_kind(classifier, x, score, name)
    weak = {kind: value for kind, value in found.items() if value < GOOD}
    if weak:
        told = ", ".join(f"{value:.2f} against {kind.replace('_', ' ')}" for kind, value in weak.items())
        warnings.warn(
            f"{type(score).__name__} of {type(network(classifier)).__name__} is a weak guard of the manifold: "
            f"AUROC {told}, expected {GOOD}; choose classifier=duq or dep, or another score",
            CounterfoilWarning,
            stacklevel=2,
        )
    return found


def report_auroc(training: Any) -> None:
    """Log the AUROC of the score that a training's network carries as test figures, one a kind of outlier."""
    classifier = Classifier(
        training.net, training.mean.flatten().tolist(), training.std.flatten().tolist()
    ).to(training.device)
    data = training.trainer.datamodule
    x = data.test[range(min(SAMPLE, len(data.test)))].x.to(training.device)
    found = auroc_by_kind(classifier, x, default_score(classifier), data.name)
    training.report("test", {f"auroc_{kind}": torch.tensor(value) for kind, value in found.items()}, len(x))


def auroc_by_kind(classifier: Any, x: Tensor, score: Score, name: str = "") -> dict[str, float]:
    """AUROC of images (B, C, H, W) against each kind of `outliers`, by the classifier's score."""
    inside = measure(classifier, x, score)
    return {kind: auroc(inside, measure(classifier, y, score)) for kind, y in outliers(x, name).items()}


def outliers(x: Tensor, name: str = "", seed: int = 0) -> dict[str, Tensor]:
    """What images (B, C, H, W) of the data set `name` may be confused with: noise, squares on them, shuffled pixels, another set."""
    generator = torch.Generator().manual_seed(seed)
    made = {
        "noise": noise_like(x, generator),
        "black_square": _hide(x, 0.0, generator),
        "white_square": _hide(x, 1.0, generator),
        "shuffled": shuffle_pixels(x, generator),
    }
    other = _other(x, name)
    return made if other is None else {**made, other[0]: other[1]}


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
    """Share of pairs in which the outlier scores higher, ties counting half: scores (N,) and (M,) to [0, 1]."""
    both = torch.cat((inside, outside)).double()
    number = len(outside)
    return float((ranks(both)[len(inside) :].sum() - number * (number + 1) / 2) / (number * len(inside)))


def _known(data: Any) -> str:
    """The name of a data set, "" where nobody knows what its images show: another set may show the same."""
    return str(data.name) if getattr(data, "labelled", True) else ""


def _hide(x: Tensor, value: float, generator: torch.Generator) -> Tensor:
    drawn = torch.stack([paint_square(x, SIDE, value, generator) for _ in range(PLACES)])
    place = (drawn - x).abs().flatten(2).sum(2).argmax(0)
    return drawn[place, torch.arange(len(x), device=x.device)]


def _other(x: Tensor, name: str) -> tuple[str, Tensor] | None:
    """Images of another set where one is at hand: the shipped digits, or for digits Fashion-MNIST."""
    data = FashionMnist() if name in ("mnist", "digits") else Digits()
    if not name or (isinstance(data, FashionMnist) and not data.at_hand()):
        return None
    taken = data.load().test.take(slice(0, len(x)))[:].x
    resized = torch.nn.functional.interpolate(taken, x.shape[-2:], mode="bilinear", antialias=True)
    return data.name, resized.expand(-1, x.shape[1], -1, -1).to(x)
