"""Agreement of several independent classifiers with the target: how many, and the least convinced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.core.query import reaches
from counterfoil.metric.agreement import JudgeAgreement
from counterfoil.metric.base import AnyMetric, Figure, FigureMetric, SampleMetric, SetMetric
from counterfoil.metric.bootstrap import wilson
from counterfoil.metric.network import Borrowed, over


class JudgesMean(SampleMetric):
    """Share of the judges that put a counterfactual in the target class, averaged over counterfactuals.

    mean over rows and judges of 1[argmax o_j(x') = t], in [0, 1]; see `JudgeAgreement`.

    Args:
        judges: independent classifiers by name, images (B, C, H, W) in [0, 1] -> logits (B, K).

    Source: ours, after the oracle score of On Quantitative Evaluations of Counterfactuals (Hvilshøj et al.,
    2021), arXiv 2111.00177
    """

    name = "judges_mean"
    label = "Judges, mean"
    unit = "%"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = True
    also_valid = True

    def __init__(self, judges: Mapping[str, Borrowed]) -> None:
        super().__init__()
        self._judges = list(judges.values())

    def score(self, cf: Counterfactuals) -> Tensor:
        return _agreement(self._judges, cf).mean(1)


class JudgesLeast(SetMetric):
    """Agreement of the judge that agrees least often.

    min over judges of mean 1[argmax o_j(x') = t], in [0, 1], over all rows.

    Args:
        judges: see `JudgesMean`.
    """

    name = "judges_least"
    label = "Judges, least"
    unit = "%"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = True

    def __init__(self, judges: Mapping[str, Borrowed]) -> None:
        super().__init__()
        self._judges = list(judges.values())

    def update(self, cf: Counterfactuals) -> None:
        """Keep which judges agree (B, J) of a batch; none does where a row failed."""
        if len(cf):
            agreement = _agreement(self._judges, cf)
            if cf.failed is not None:
                agreement = agreement.masked_fill(cf.failed[:, None].to(agreement.device), 0.0)
            self._features.append(agreement)

    def embed(self, x: Tensor) -> Tensor:
        raise NotImplementedError("what a judge says depends on the target; see `update`")

    def weighted(self, weights: Tensor) -> Tensor:
        weights = weights.cpu().double()
        least: Tensor = (weights @ self.features / weights.sum(1, keepdim=True)).amin(1)
        return least


class JudgesAlike(FigureMetric):
    """Share of real images on which all judges decide alike: what their agreement on others is read against.

    mean over images of 1[argmax o_1(x) = ... = argmax o_J(x)], in [0, 1]. A figure of the judges, the same
    for every method.

    Args:
        judges: see `JudgesMean`.
        reference: a data module; `queried` is the real images.
    """

    name = "judges_alike"
    label = "Judges alike on real images"
    unit = "%"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = None

    def __init__(self, judges: Mapping[str, Borrowed], reference: Any) -> None:
        super().__init__()
        self._judges = list(judges.values())
        self._reference = Borrowed(reference, "judges", "data")

    def figure(self) -> Figure:
        """The share with Wilson's interval over images."""
        images = self._reference.net.queried
        said = torch.stack([over(images, judge).argmax(1) for judge in self._judges])
        alike = (said == said[0]).all(0).double()
        share = float(alike.mean())
        return Figure(share, *wilson(share, len(alike)), len(alike))


def judges(judges: Mapping[str, nn.Module], reference: Any) -> Mapping[str, AnyMetric]:
    """The mean and the least agreement of several judges, and that of each, by the name it is reported as.

    And how often they agree with each other on real images, those of the data module `reference`.

    Raises:
        UserError: fewer than two judges.
    """
    if len(judges) < 2:
        raise UserError(
            f"metric=judges needs two judges or more under metric.judges.judges, found {len(judges)}; "
            "for one choose metric=judge_agreement"
        )
    borrowed = {
        name: Borrowed(judge, "judges", f"metric.judges.judges.{name}") for name, judge in judges.items()
    }
    return {
        "judges_mean": JudgesMean(borrowed),
        "judges_least": JudgesLeast(borrowed),
        **{f"judge_{name}": _one(name, judge) for name, judge in judges.items()},
        "judges_alike": JudgesAlike(borrowed, reference),
    }


def _one(name: str, judge: nn.Module) -> JudgeAgreement:
    """One judge's agreement, named after it."""
    metric = JudgeAgreement(judge)
    metric.__dict__.update(label=f"Judge {name}", main=False)
    return metric


def _agreement(judges: list[Borrowed], cf: Counterfactuals) -> Tensor:
    """Whether each judge decides for the target: float (B, J)."""
    return torch.stack([reaches(judge(cf.counterfactual), cf.target).float() for judge in judges], dim=1)
