"""The trainings of generative models reach the nets' own losses and show what they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from counterfoil.generative.autoencoder import ClassAutoencoders
from counterfoil.generative.cvae import CVAE
from counterfoil.generative.training import AutoencoderTraining, GenerativeTraining
from counterfoil.generative.vae import VAE

OPTIONS: dict[str, Any] = {
    "accelerator": "cpu",
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


def fitted(module: pl.LightningModule, toy: Any, epochs: int, logger: Any = False) -> dict[str, float]:
    trainer = pl.Trainer(max_epochs=epochs, logger=logger, **OPTIONS)
    trainer.fit(module, datamodule=toy)
    (measured,) = trainer.test(module, datamodule=toy, verbose=False)
    return dict(measured)


@pytest.mark.parametrize("conditional", [False, True])
def test_reconstructions_get_better_and_pictures_are_logged(
    toy: Any, tmp_path: Path, conditional: bool
) -> None:
    pl.seed_everything(0, verbose=False)
    net = CVAE(1, 16, 3, latent=4, width=8) if conditional else VAE(1, 16, latent=4, width=8)
    module = GenerativeTraining(net, pictures=4, lr=5e-3, epochs=12, name="vae")
    x = toy.train[range(30)]
    condition = torch.nn.functional.one_hot(x.y, 3).float() if conditional else None
    before = (net.eval().decode(net.encode(x.x, condition), condition) - x.x).abs().mean().item()
    net.train()
    measured = fitted(module, toy, 12, CSVLogger(str(tmp_path), name="csv", version=""))
    assert set(measured) == {f"vae/test/{key}" for key in ("loss", "reconstruction", "kl", "l1")}
    assert measured["vae/test/l1"] < 0.7 * before
    assert measured["vae/test/loss"] == pytest.approx(
        measured["vae/test/reconstruction"] + measured["vae/test/kl"], rel=1e-4
    )
    pictures = list((tmp_path / "csv" / "images").glob("*.png"))
    assert len(pictures) == 12


def test_class_autoencoders_train(toy: Any) -> None:
    pl.seed_everything(0, verbose=False)
    net = ClassAutoencoders(1, 16, classes=3, latent=4, width=4)
    before = net.eval().loss(*toy.test[range(30)][:2])["loss"].item()
    net.train()
    measured = fitted(AutoencoderTraining(net, lr=5e-3, epochs=8, name="ae"), toy, 8)
    assert measured["ae/test/loss"] < 0.7 * before
    assert measured["ae/test/loss"] == pytest.approx(
        measured["ae/test/own"] + measured["ae/test/all"], rel=1e-4
    )
