"""The judge's decisions, by hand."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from counterfoil.metric.agreement import JudgeAgreement
from counterfoil.metric.evaluation import evaluate_metrics


class Brightness(nn.Module):
    """Class 2 for a bright image, class 0 for a dark one."""

    def forward(self, x):
        bright = (x.flatten(1).mean(1) > 0.5).float()
        return torch.stack((1 - bright, torch.zeros_like(bright), bright), dim=1)


def test_agreement_over_all_and_over_valid_rows(make):
    x = torch.tensor([0.9, 0.9, 0.1, 0.1])[:, None, None, None].expand(4, 2, 4, 5)
    target = torch.tensor([2, 1, 0, 2])
    # the classifier agrees with the target on rows 0 and 3; the judge on rows 0 and 2
    logits = torch.eye(3)[torch.tensor([2, 0, 1, 2])]
    cf = replace(make(4), counterfactual=x, target=target, counterfactual_logits=logits)
    summary, table, _ = evaluate_metrics({"judge_agreement": JudgeAgreement(judge=Brightness())}, cf)
    assert table["judge_agreement"].tolist() == [1, 0, 1, 0]
    assert (summary["judge_agreement"].value, summary["judge_agreement"].n) == (0.5, 4)
    assert (summary["judge_agreement_valid"].value, summary["judge_agreement_valid"].n) == (0.5, 2)
