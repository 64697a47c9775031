"""Reconstruction and cycle of the generator of a strip."""

from __future__ import annotations

import torch

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.generative.exaggeration.network import Exaggerator
from counterfoil.metric.consistency import CycleL1, ReconstructionL1


def test_redrawing_errors_are_those_of_the_generator(generator: Exaggerator, strips: Counterfactuals) -> None:
    slot = torch.zeros(6, dtype=torch.long)
    own = generator.own_cell(strips.factual_logits, slot)
    with torch.no_grad():
        again = generator.decode(generator.encode(strips.factual), own)
        back = generator.decode(generator.encode(strips.counterfactual), own)
    torch.testing.assert_close(
        ReconstructionL1(generator).score(strips), (again - strips.factual).abs().mean((1, 2, 3))
    )
    cycle = CycleL1(generator).score(strips)
    same = (strips.counterfactual == strips.factual).flatten(1).all(1)
    assert torch.equal(cycle.isnan(), same)
    torch.testing.assert_close(cycle[~same], (back - strips.factual).abs().mean((1, 2, 3))[~same])
