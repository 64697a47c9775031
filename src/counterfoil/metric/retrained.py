"""Agreement of classifiers that differ from the one explained in their seed alone."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.metric.base import AnyMetric
from counterfoil.metric.judges import JudgesLeast, JudgesMean
from counterfoil.metric.network import Borrowed

WHERE = "metric.retrained.classifiers"


class Retrained(JudgesMean):
    """Share of classifiers of the same kind, but other seeds, that put a counterfactual in its target.

    mean over rows and classifiers of 1[argmax f_s(x') = t], in [0, 1]: what is left of a counterfactual once
    the classifier is trained again.

    Args:
        judges: classifiers of the explained one's architecture and training by name, see `JudgesMean`.

    Departures: the source also leaves out training images, and reports 1 - this.
    Source: Consistent Counterfactuals for Deep Models (Black et al., 2021), arXiv 2110.03109
    """

    name = "retrained"
    label = "Retrained, mean"


class RetrainedLeast(JudgesLeast):
    """Agreement of the retrained classifier that agrees least often; see `Retrained`."""

    name = "retrained_least"
    label = "Retrained, least"


def retrained(classifier: nn.Module, classifiers: Mapping[str, nn.Module | None]) -> Mapping[str, AnyMetric]:
    """`Retrained` and `RetrainedLeast`, by the name they are reported as.

    Args:
        classifier: the model explained.
        classifiers: of the same kind, by name; None: there is none of this name.

    Raises:
        UserError: none of them, or one that is the model explained.
    """
    chosen = {name: other for name, other in classifiers.items() if other is not None}
    if not chosen:
        raise UserError(f"metric=retrained needs a classifier or more under {WHERE}, found none")
    for name, other in chosen.items():
        if other is classifier:
            raise UserError(
                f"{WHERE}.{name} is the classifier that is explained; give it another seed, such as "
                f"'{WHERE}.{name}=\"${{seeded:${{classifier}},9001}}\"'"
            )
    borrowed = {name: Borrowed(other, "retrained", f"{WHERE}.{name}") for name, other in chosen.items()}
    return {"retrained": Retrained(borrowed), "retrained_least": RetrainedLeast(borrowed)}
