from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.generative.latent_map.network import LatentMaps
from counterfoil.generative.latent_map.training import LatentMapTraining, scaled, smoothness, undecided
from counterfoil.util.fingerprint import fingerprint
from tests.generative.pooled import Pooled


@pytest.fixture
def maps(tiny_vae: nn.Module) -> LatentMaps:
    torch.manual_seed(0)
    return LatentMaps(tiny_vae, 3, width=8).float()


def test_the_loss_by_hand(maps: LatentMaps, tiny_classifier: nn.Module) -> None:
    classifier = tiny_classifier.float()
    module = LatentMapTraining(maps, classifier=classifier, alpha=2.0, beta=0.5, p_1=3.0, p_2=4.0)
    x, source, target = torch.rand(3, 1, 16, 16), torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0])
    generator = maps.generator
    z = generator.encode(x)
    there = maps.step(z, source, target)
    back = maps.step(there, target, source)
    image, again = generator.decode(there), generator.decode(back)
    mask = scaled((x - image).square())
    wanted = (
        F.cross_entropy(classifier(image), target)
        + 2 * ((x - image).abs().mean() + 3 * smoothness(mask) + 4 * undecided(mask))
        + 0.5 * ((x - again).abs().mean() + (z - back).abs().mean()) / 2
    )
    assert module.terms(x, source, target)["loss"].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_masks() -> None:
    mask = torch.tensor([[[[1.0, 3.0], [1.0, 3.0]]], [[[2.0, 2.0], [2.0, 2.0]]]])
    found = scaled(mask)
    assert found.flatten(1).tolist() == [[0, 1, 0, 1], [0, 0, 0, 0]]
    assert float(smoothness(found[:1])) == 0.5
    assert float(undecided(found)) == 0
    assert float(undecided(torch.tensor([0.25, 0.5]))) == 0.375


def test_it_learns_to_flip_and_knows_its_classifier(toy: Any, tiny_classifier: Any) -> None:
    classifier = tiny_classifier.float()
    torch.manual_seed(0)
    maps = LatentMaps(Pooled(), 3, width=8)
    before = {name: value.clone() for name, value in maps.generator.state_dict().items()}
    module = LatentMapTraining(
        maps, classifier=classifier, alpha=0.0, beta=0.01, epochs=40, lr=3e-2, batch_size=20
    )

    def flipped() -> float:
        x: Tensor = toy.train.images.float() / 255
        source = classifier(x).argmax(1)
        return float(module.terms(x, source, (source + 1) % 3)["flipped"])

    first = flipped()
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    pl.Trainer(max_epochs=40, accelerator="cpu", **quiet).fit(module, datamodule=module.prepare(toy))
    assert flipped() > first + 0.2
    assert int(maps.classifier) == int(fingerprint(classifier))
    for name, value in maps.generator.state_dict().items():
        assert torch.equal(value, before[name]), f"{name} of the frozen model moved"


@pytest.mark.parametrize("net", [nn.Linear(2, 2), None])
def test_it_needs_maps_and_a_classifier(maps: LatentMaps, net: Any) -> None:
    given = maps if net is None else net
    with pytest.raises(UserError, match="generative latent_map"):
        LatentMapTraining(given, classifier=None if net is None else nn.Linear(2, 2))
