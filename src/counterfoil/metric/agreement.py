"""Agreement of an independent classifier, the judge, with the target."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.query import reaches
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import Borrowed


class JudgeAgreement(SampleMetric):
    """Share of counterfactuals that an independent classifier, the judge, puts in the target class too.

    mean 1[argmax o(x') = t], in [0, 1], over all rows, and over the valid ones: a valid counterfactual that
    the judge denies is an adversarial example rather than an explanation.

    Args:
        judge: a classifier of another architecture and seed, images (B, C, H, W) in [0, 1] -> logits (B, K).

    Departures: the source counts successes alone; that number is `judge_agreement_valid`.
    Source: On Quantitative Evaluations of Counterfactuals (Hvilshøj, Iosifidis & Assent, 2021), arXiv
    2111.00177, "oracle score"
    """

    name = "judge_agreement"
    label = "Judge agreement"
    main = True
    role = "success"
    higher_is_better = True
    boolean = True
    also_valid = True

    def __init__(self, judge: nn.Module | None) -> None:
        super().__init__()
        self._judge = Borrowed(judge, self.name, "judge")

    def score(self, cf: Counterfactuals) -> Tensor:
        return reaches(self._judge(cf.counterfactual), cf.target).float()


class ExtremeJudgeAgreement(SampleMetric):
    """Share of strips whose last image the judge puts in the target class.

    mean 1[argmax o(x_S) = t], in [0, 1]; the judge's agreement at the end of the strip.

    Args:
        judge: see `JudgeAgreement`.
    """

    name = "extreme_judge_agreement"
    higher_is_better = True
    boolean = True

    def __init__(self, judge: nn.Module | None) -> None:
        super().__init__()
        self._judge = Borrowed(judge, self.name, "judge")

    def score(self, cf: Counterfactuals) -> Tensor:
        if cf.strip is None:
            return torch.full_like(cf.seconds, torch.nan)
        agrees = reaches(self._judge(cf.strip.images[:, -1]), cf.target).float()
        return agrees.masked_fill(~cf.walked, torch.nan)
