"""Checks a classifier before it is explained: each mistake with its fix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.order import fitting, override
from counterfoil.core.decision import Attribute, Classes, Probabilities, Sigmoid
from counterfoil.core.errors import UserError, first_line
from counterfoil.data.base import Batch

FEW = 32
"""Images on which two runs must agree."""
LISTED = 50
"""Up to so many classes, an order is spelt out in a warning."""


@dataclass(frozen=True)
class Checked:
    """What was found of a classifier.

    Attributes:
        warnings: each with its fix.
        accuracy: share of the images whose label it decides for; None without labels.
        images: how many.
    """

    warnings: list[str]
    accuracy: float | None
    images: int


def check(
    classifier: nn.Module, batch: Batch, classes: int, *, gradients: bool = True, labelled: bool = True
) -> Checked:
    """Try a classifier on labelled images.

    Args:
        classifier: maps images (B, C, H, W) in [0, 1] to logits (B, K).
        batch: images with their labels, some of each class.
        classes: K that the data have.
        gradients: whether the methods to come need gradients of the logits.
        labelled: whether the labels are the classifier's classes; a rule on a regression output has none.

    Raises:
        UserError: where explaining makes no sense: wrong channels or size, wrong number of classes,
            probabilities instead of logits or the reverse, random outputs, no gradient.
    """
    raw, logits = _outputs(classifier, batch.x)
    if logits.ndim != 2 or (labelled and logits.shape[1] != classes):
        raise UserError(_another_number(raw, logits, classes))
    if not bool(torch.isfinite(logits).all()):
        raise UserError(
            "classifier: its logits hold NaN or infinite values; check its weights, classifier.mean and "
            "classifier.std"
        )
    _check_decision(getattr(classifier, "decision", None) or Classes(), raw)
    few = batch.x[:FEW]
    if not torch.equal(_outputs(classifier, few)[1], _outputs(classifier, few)[1]):
        raise UserError(
            "classifier: two runs on the same images differ; remove noise that stays on in eval mode "
            "(dropout, sampling)"
        )
    if gradients and not _has_gradient(classifier, batch.x[:8]):
        raise UserError(
            "classifier: its logits have no gradient with respect to the image (detached, rounded or no_grad "
            "inside); explain it with black-box methods: explainer=[growing_spheres,nearest]"
        )
    if not labelled:
        return Checked([], None, len(batch.x))
    decided = logits.argmax(1)
    warnings = _another_order(classifier, decided, batch.y, classes) or _weak(decided, batch.y)
    return Checked(warnings, float((decided == batch.y).float().mean()), len(batch.x))


def count_classes(classifier: nn.Module, x: Tensor) -> int:
    """K, read off the logits of images x (B, C, H, W) in [0, 1].

    UserError where the classifier cannot take them or gives no logits.
    """
    logits = _outputs(classifier, x)[1]
    if logits.ndim != 2:
        raise UserError(
            f"classifier: puts out {tuple(logits.shape[1:])} per image, expected one logit per class; set "
            "classifier.decision"
        )
    return logits.shape[1]


def _outputs(classifier: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The network's own outputs (B, K') and the logits (B, K); the same for a bare network."""
    try:
        with torch.no_grad():
            if not isinstance(classifier, Classifier):
                logits: Tensor = classifier(x)
                return logits, logits
            raw = classifier.outputs(x)
            return raw, classifier.decide(raw)
    except (
        RuntimeError, ValueError, TypeError, IndexError, AssertionError, KeyError, AttributeError
    ) as error:  # fmt: skip
        reason = first_line(error)[:200]
        raise UserError(
            f"classifier: cannot take images of shape {tuple(x.shape[1:])} (channels, height, width): "
            f"{reason}; choose data.channels and data.size to fit it, or another classifier"
        ) from error


def _another_number(raw: Tensor, logits: Tensor, classes: int) -> str:
    found = f"classifier: puts out {tuple(raw.shape[1:])} per image, the data have {classes} classes; "
    if logits.ndim == 2 and logits.shape[1] > classes:
        return (
            f"{found}name its outputs, classifier.class_names=FILE or [...], and those of the data's classes "
            "are chosen; or set decision=attribute"
        )
    return (
        f"{found}set decision=attribute or threshold for a network that tells no classes, or choose the data "
        "it was trained on"
    )


def _check_decision(decision: object, raw: Tensor) -> None:
    """Hold the rule against what it reads: probabilities lie in [0, 1], a trained network's logits do not."""
    inside = float(raw.min()) >= -1e-4 and float(raw.max()) <= 1 + 1e-4
    whole = inside and raw.shape[1] > 1 and bool(((raw.sum(1) - 1).abs() < 1e-3).all())
    found = f"found values from {float(raw.min()):.3g} to {float(raw.max()):.3g}"
    if whole and isinstance(decision, Classes | Attribute):
        raise UserError(
            "classifier: returns probabilities (rows in [0, 1] that sum to 1); set decision=probabilities, "
            "or remove its last softmax"
        )
    if isinstance(decision, Probabilities) and not whole:
        fix = "decision=sigmoid" if inside else "decision=logits, which takes log-probabilities too"
        raise UserError(
            f"classifier: decision=probabilities expects rows in [0, 1] that sum to 1, {found}; set {fix}"
        )
    if isinstance(decision, Sigmoid) and not inside:
        raise UserError(
            f"classifier: decision=sigmoid expects probabilities in [0, 1], {found}; set decision="
            f"{'logits' if decision.class_names is None else 'attribute'}"
        )
    undone = isinstance(decision, Classes | Attribute) and not isinstance(decision, Sigmoid)
    if undone and inside and (raw.shape[1] == 1 or float(raw.max()) > 0.5):
        name = getattr(decision, "name", None)
        raise UserError(
            f"classifier: returns probabilities out of a sigmoid, so it seems ({found}), expected logits; "
            f"set decision=sigmoid{f' classifier.decision.name={name}' if name else ''}, or remove its last "
            "sigmoid; true logits do not all lie in [0, 1], similarities need their scale"
        )


def _has_gradient(classifier: nn.Module, x: Tensor) -> bool:
    with torch.inference_mode(False), torch.enable_grad():
        leaf = x.clone().requires_grad_()
        logits = classifier(leaf)
        if not logits.requires_grad:
            return False
        (gradient,) = torch.autograd.grad(logits.square().sum(), leaf, allow_unused=True)
    return gradient is not None and bool(torch.isfinite(gradient).all()) and bool(gradient.abs().amax() > 0)


def _another_order(classifier: nn.Module, decided: Tensor, labels: Tensor, classes: int) -> list[str]:
    """A warning where the outputs stand for the classes in another order, with the one that fits."""
    place = fitting(decided, labels, classes)
    if place is None:
        return []
    here = float((decided == labels).float().mean())
    there = float((decided == torch.tensor(place, device=labels.device)[labels]).float().mean())
    fix = "give the names of its outputs in their order, classifier.class_names=FILE or [...]"
    names = getattr(classifier, "class_names", None)
    order = getattr(classifier, "order", None)
    columns = list(range(classes)) if order is None else order.tolist()
    if names and classes <= LISTED and sorted(columns) == list(range(classes)):
        by_output = sorted((columns[place[k]], names[k]) for k in range(classes))
        fix = f"set {override([name for _, name in by_output])}"
    return [
        f"classifier: its outputs seem to be the data's classes in another order: accuracy {here:.3f} on "
        f"{len(labels)} images, {there:.3f} in the order that fits; {fix}"
    ]


def _weak(decided: Tensor, labels: Tensor) -> list[str]:
    accuracy = float((decided == labels).float().mean())
    common = float(labels.bincount().max()) / len(labels)
    noise = 2 * (common * (1 - common) / len(labels)) ** 0.5
    if accuracy > common + noise:
        return []
    return [
        f"classifier: accuracy {accuracy:.3f} on {len(labels)} images is no better than chance "
        f"({common:.3f}); check "
        "classifier.mean and classifier.std, the order of the classes, and whether it was trained on these "
        "data"
    ]
