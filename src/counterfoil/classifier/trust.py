"""Whether a judge can be believed: it is checked like the classifier, and must tell the same classes."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from counterfoil.classifier.check import check, count_classes
from counterfoil.classifier.order import listed
from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch

COMPARED = 4
"""Images on which two networks are compared."""


def check_judge(judge: Any, classifier: Any, batch: Batch, *, labelled: bool = True) -> str:
    """Try the judge on labelled images.

    Args:
        judge, classifier: each a `Classifier`.
        batch: images (B, C, H, W) in [0, 1] with their labels, some of each class.
        labelled: whether the labels are the classes that both tell.

    Returns:
        why the judge's figures are not to be believed, on one line; "" where they are.

    Raises:
        UserError: the classifier itself, another number of classes, weights or logits that are not finite,
            and whatever a classifier is refused for.
    """
    try:
        found, wanted = (count_classes(each, batch.x[:2]) for each in (judge, classifier))
        if found != wanted:
            raise UserError(
                f"judge: tells {found} classes, the classifier {wanted}; "
                "choose another judge.checkpoint=, or judge=null"
            )
        same = tuple(judge.class_names or ()) == tuple(classifier.class_names or ())
        _refuse_itself(judge, classifier, batch.x[:COMPARED])
        warnings = check(judge, batch, wanted, gradients=False, labelled=labelled and same).warnings
    except UserError as error:
        raise UserError(of_judge(str(error))) from error
    if not same:
        told, explained = (listed(each.class_names or (), most=4) for each in (judge, classifier))
        return f"judge: tells other classes ({told}) than the classifier ({explained})"
    return "; ".join(map(of_judge, warnings))


def _refuse_itself(judge: Any, classifier: Any, x: Tensor) -> None:
    """Two networks never give the same numbers; copies of one do, whatever files they come from."""
    with torch.no_grad():
        same = judge is classifier or torch.equal(judge(x), classifier(x))
    if same:
        raise UserError(
            "judge: is the classifier itself, so it cannot judge; choose another classifier@judge=, "
            "judge.seed= or judge.checkpoint="
        )


def of_judge(text: str) -> str:
    """What `check` says of a classifier, said of the judge."""
    text = re.sub(r"\bclassifier([.:])", r"judge\1", text)
    return re.sub(r"(?<![.\w])decision=", "decision@judge.decision=", text)
