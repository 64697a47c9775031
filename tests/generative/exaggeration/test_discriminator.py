from __future__ import annotations

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.generative.exaggeration.discriminator import Discriminator, thermometer


def test_codes_are_nested_and_count_the_bin() -> None:
    codes = thermometer(torch.arange(10), 10)
    assert codes.sum(1).tolist() == list(range(10))
    assert bool((codes[1:] | ~codes[:-1]).all())


@pytest.mark.parametrize("projection", ["ordinal", "shared"])
def test_the_label_term_adds_one_threshold_at_a_time(projection: str) -> None:
    """Monotone in the bin for features on the right side of every threshold; zero for the lowest bin."""
    torch.manual_seed(0)
    model = Discriminator(1, 8, slots=2, bins=5, projection=projection, width=4).eval()
    vectors = model.thresholds.weight.detach().view(2, -1, 4)  # type: ignore[union-attr]
    h = torch.randn(1, 4).expand(5, -1)
    slot, bins = torch.ones(5, dtype=torch.long), torch.arange(5)
    steps = model.label_term(h, slot, bins).detach().diff()
    expected = (vectors[1] @ h[0]).expand(4) if projection == "shared" else vectors[1] @ h[0]
    torch.testing.assert_close(steps, expected)
    assert float(model.label_term(h, slot, bins)[0].detach()) == 0
    positive = vectors[1].sum(0, keepdim=True)
    if bool((vectors[1] @ positive[0] > 0).all()):
        assert bool((model.label_term(positive.expand(5, -1), slot, bins).diff() > 0).all())


def test_the_shared_term_is_affine_and_the_ordinal_one_is_not() -> None:
    torch.manual_seed(0)
    h, slot, bins = torch.randn(1, 4).expand(5, -1), torch.zeros(5, dtype=torch.long), torch.arange(5)
    curvature = {
        name: Discriminator(1, 8, 1, 5, projection=name, width=4)
        .eval()
        .label_term(h, slot, bins)
        .diff()
        .diff()
        .abs()
        .max()
        for name in ("ordinal", "shared", "none")
    }
    assert curvature["ordinal"] > 1e-3
    assert curvature["shared"] < 1e-6
    assert curvature["none"] == 0


def test_every_weight_is_spectrally_normal() -> None:
    torch.manual_seed(0)
    model = Discriminator(1, 8, 2, 5, width=8)
    for _ in range(30):
        model(torch.rand(2, 1, 8, 8), torch.tensor([0, 1]), torch.tensor([0, 4]))
    for layer in (model.realness, model.thresholds, model.blocks[0].one):
        norm = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)  # type: ignore[union-attr,operator,arg-type]
        assert float(norm) == pytest.approx(1, abs=0.02)


def test_refuses_an_unknown_projection() -> None:
    with pytest.raises(UserError, match="ordinal, shared or none"):
        Discriminator(1, 8, projection="linear")
