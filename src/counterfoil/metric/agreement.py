"""Does somebody else see the target class too?"""

from __future__ import annotations

from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import Borrowed


class JudgeAgreement(SampleMetric):
    """Share of counterfactuals that an independent classifier, the judge, puts in the target class too.

    mean 1[argmax o(x') = t], in [0, 1], over all rows, and over the valid ones: a valid counterfactual that the judge denies is an
    adversarial example rather than an explanation.

    Args:
        judge: a classifier of another architecture and seed, images (B, C, H, W) in [0, 1] -> logits (B, K).

    Departures: the source counts successes alone; that number is `judge_agreement_valid`.
    Source: On Quantitative Evaluations of Counterfactuals (Hvilshøj, Iosifidis & Assent, 2021), arXiv 2111.00177, "oracle score"
    """

    name = "judge_agreement"
    higher_is_better = True
    boolean = True
    also_valid = True

    def __init__(self, judge: nn.Module | None) -> None:
        super().__init__()
        self._judge = Borrowed(judge, self.name, "judge")

    def score(self, cf: Counterfactuals) -> Tensor:
        return (self._judge(cf.counterfactual).argmax(1) == cf.target).float()
