"""Identity by the features of a judge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from counterfoil.metric.identity import AttributeNetCosine, AttributeNetShare


def test_identity_is_a_cosine(attributed: Any, pixel_judge: Any) -> None:
    cf, _data = attributed
    cf = replace(cf, factual=cf.counterfactual.flip(0))
    expected = torch.nn.functional.cosine_similarity(
        pixel_judge.embed(cf.factual), pixel_judge.embed(cf.counterfactual)
    )
    torch.testing.assert_close(AttributeNetCosine(pixel_judge).score(cf), expected)
    assert AttributeNetShare(pixel_judge).score(cf).tolist() == (expected > 0.5).float().tolist()
