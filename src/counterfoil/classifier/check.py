"""Checks a classifier before it is explained: each mistake with its fix."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError, first_line
from counterfoil.data.base import Batch


def check(
    classifier: nn.Module, batch: Batch, classes: int, *, gradients: bool = True, labelled: bool = True
) -> list[str]:
    """Try a classifier on labelled images and return warnings, each with its fix.

    Args:
        classifier: maps images (B, C, H, W) in [0, 1] to logits (B, K).
        batch: images with their labels, some of each class.
        classes: K that the data have.
        gradients: whether the methods to come need gradients of the logits.
        labelled: whether the labels are the classifier's classes; a rule on a regression output has none.

    Raises:
        UserError: where explaining makes no sense: wrong channels or size, wrong number of classes,
            probabilities instead of logits, random outputs, no gradient.
    """
    logits = _outputs(classifier, batch.x)
    if logits.ndim != 2 or (labelled and logits.shape[1] != classes):
        raise UserError(
            f"classifier: puts out {tuple(logits.shape[1:])} per image, the data have {classes} classes; "
            "set classifier.decision, or choose the data it was trained on"
        )
    if not bool(torch.isfinite(logits).all()):
        raise UserError(
            "classifier: its logits hold NaN or infinite values; check its weights, classifier.mean and "
            "classifier.std"
        )
    _refuse_probabilities(logits)
    if not torch.equal(logits, _outputs(classifier, batch.x)):
        raise UserError(
            "classifier: two runs on the same images differ; remove noise that stays on in eval mode "
            "(dropout, sampling)"
        )
    if gradients and not _has_gradient(classifier, batch.x[:8]):
        raise UserError(
            "classifier: its logits have no gradient with respect to the image (detached, rounded or no_grad "
            "inside); explain it with black-box methods: explainer=[growing_spheres,nearest]"
        )
    return _weak(logits, batch.y) if labelled else []


def count_classes(classifier: nn.Module, x: Tensor) -> int:
    """K, read off the logits of images x (B, C, H, W) in [0, 1].

    UserError where the classifier cannot take them or gives no logits.
    """
    logits = _outputs(classifier, x)
    if logits.ndim != 2:
        raise UserError(
            f"classifier: puts out {tuple(logits.shape[1:])} per image, expected one logit per class; set "
            "classifier.decision"
        )
    return logits.shape[1]


def _outputs(classifier: nn.Module, x: Tensor) -> Tensor:
    try:
        with torch.no_grad():
            logits: Tensor = classifier(x)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        reason = first_line(error)[:200]
        raise UserError(
            f"classifier: cannot take images of shape {tuple(x.shape[1:])} (channels, height, width): "
            f"{reason}; choose data.channels and data.size to fit it, or another classifier"
        ) from error
    return logits


def _refuse_probabilities(logits: Tensor) -> None:
    sums = logits.sum(1)
    if (
        bool((logits >= 0).all())
        and bool((logits <= 1).all())
        and torch.allclose(sums, torch.ones_like(sums), atol=1e-3)
    ):
        raise UserError(
            "classifier: returns probabilities (rows in [0, 1] that sum to 1), expected logits; remove its "
            "last softmax, or set "
            "classifier.decision._target_=counterfoil.core.decision.Probabilities"
        )


def _has_gradient(classifier: nn.Module, x: Tensor) -> bool:
    with torch.inference_mode(False), torch.enable_grad():
        leaf = x.clone().requires_grad_()
        logits = classifier(leaf)
        if not logits.requires_grad:
            return False
        (gradient,) = torch.autograd.grad(logits.square().sum(), leaf, allow_unused=True)
    return gradient is not None and bool(torch.isfinite(gradient).all()) and bool(gradient.abs().amax() > 0)


def _weak(logits: Tensor, labels: Tensor) -> list[str]:
    accuracy = float((logits.argmax(1) == labels).float().mean())
    common = float(labels.bincount().max()) / len(labels)
    noise = 2 * (common * (1 - common) / len(labels)) ** 0.5
    if accuracy > common + noise:
        return []
    return [
        f"classifier: accuracy {accuracy:.3f} on {len(labels)} test images is no better than chance "
        f"({common:.3f}); check "
        "classifier.mean and classifier.std, the order of the classes, and whether it was trained on these "
        "data"
    ]
