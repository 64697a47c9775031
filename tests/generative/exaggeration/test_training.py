from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.core.errors import UserError
from counterfoil.data.base import Images, Splits
from counterfoil.explainer.progressive import Progressive
from counterfoil.generative.exaggeration.network import Exaggerator
from counterfoil.generative.exaggeration.training import ExaggerationTraining
from counterfoil.util.fingerprint import fingerprint

sys.path.insert(0, str(Path(__file__).parent))
from exaggeration_toy import Toy, classifier, make, step_terms


def fit(module: ExaggerationTraining, tmp_path: Path) -> dict[str, float]:
    data = module.prepare(Toy())
    trainer = pl.Trainer(
        max_epochs=module.epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=str(tmp_path),
    )
    trainer.fit(module, datamodule=data)
    return {
        key.rpartition("/")[2]: value
        for key, value in trainer.test(module, datamodule=data, verbose=False)[0].items()
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExaggerationTraining, dict[str, float]]:
    torch.set_num_threads(1)
    module = make()
    return module, fit(module, tmp_path_factory.mktemp("toy"))


def test_a_tiny_training_makes_the_output_follow_the_request(
    trained: tuple[ExaggerationTraining, dict[str, float]],
) -> None:
    _module, measured = trained
    assert measured["rho"] > 0.8
    assert measured["extreme_validity"] > 0.8
    assert measured["l1"] < 0.1


def test_what_is_kept_knows_its_classifier_and_explains(
    trained: tuple[ExaggerationTraining, dict[str, float]],
) -> None:
    module, _measured = trained
    model = classifier()
    assert module.net.knob.classifier == fingerprint(model)
    found = Progressive(model, module.net, confidence=0.6)(Toy().test[slice(0, 40)].x)
    assert float(found.valid.float().mean()) > 0.8


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    nets = []
    for _ in range(2):
        module = make(epochs=1, steps=5, stop_when_diverged=False)
        torch.manual_seed(1)
        fit(module, tmp_path)
        nets.append(module.net.state_dict())
    assert all(torch.equal(value, nets[1][key]) for key, value in nets[0].items())


OFFICIAL = {
    "lambda_embed": 1.0,
    "net": {"conditioned_encoder": True},
    "discriminator": {"width": 8, "projection": "shared"},
}


@pytest.mark.parametrize("options", [{"d_steps": 3}, OFFICIAL])
def test_variants_run(tmp_path: Path, options: dict[str, Any]) -> None:
    module = make(epochs=1, steps=6, stop_when_diverged=False, **options)
    before = {key: value.clone() for key, value in module.net.state_dict().items()}
    fit(module, tmp_path)
    assert any(not torch.equal(value, before[key]) for key, value in module.net.state_dict().items())


def test_one_model_for_every_class() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    torch.manual_seed(0)
    module = ExaggerationTraining(
        Exaggerator(1, 8, 3, bins=4, width=4),
        classifier=Classifier(net),
        empty="borrow",
        steps=2,
        batch_size=6,
    )
    data = module.prepare(Toy())
    batch = next(iter(data.train_dataloader()))
    assert set(batch.slot.tolist()) <= {0, 1, 2}
    assert set(step_terms(module, batch.x)) == {"gan", "cls", "self", "rec", "cyc"}


def test_says_what_is_wrong_with_the_input() -> None:
    with pytest.raises(UserError, match="found none"):
        ExaggerationTraining(Exaggerator(1, 8, 2, width=4), classifier=None)
    with pytest.raises(UserError, match="ignores its input"):
        make(classifier(scale=0.0)).prepare(Toy())

    class Single(Toy):
        def load(self) -> Splits:
            one = Images(torch.zeros(20, 1, 8, 8, dtype=torch.uint8), torch.ones(20, dtype=torch.int64))
            return Splits(one, one, ("a", "b"), val=one)

    with pytest.raises(UserError, match="class 1 alone"):
        make().prepare(Single())
