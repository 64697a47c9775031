import pytest
import pytorch_lightning as pl
import torch

from counterfoil.core.errors import UserError
from counterfoil.generative.attgan.network import AttGAN
from counterfoil.generative.attgan.training import AttGANTraining, single_edits

NAMES = ("left", "middle", "right")


def trained(toy, epochs=1, norm="spectral", **options):
    torch.manual_seed(0)
    module = AttGANTraining(
        AttGAN(1, 16, NAMES, width=8, norm=norm), toy, epochs=epochs, batch_size=16, lr=2e-3, **options
    )
    before = {name: value.clone() for name, value in module.net.state_dict().items()}
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", **quiet)
    trainer.fit(module, datamodule=toy)
    return module, before


@pytest.mark.parametrize(
    "options", [{}, {"loss": "wgan_gp", "norm": "instance", "critic_steps": 2}, {"adversarial": False}]
)
def test_one_epoch_moves_every_network_and_stays_finite(toy, options):
    module, before = trained(toy, **options)
    after = module.net.state_dict()
    moved = {
        name.split(".")[0]
        for name in after
        if name.endswith(("weight", "original")) and not torch.equal(before[name], after[name])
    }
    assert moved == {"encoder", "decoder", "critic"}
    assert all(bool(value.isfinite().all()) for value in after.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "Hinge"}, "loss=Hinge is not supported; choose one of: hinge, wgan_gp"),
        (
            {"loss": "wgan_gp"},
            "norm=spectral does not go with generative.training.loss=wgan_gp; set "
            "generative.net.norm=instance",
        ),
        ({"critic_steps": 0}, "critic_steps=0: expected a whole number of at least 1"),
    ],
)
def test_bad_options_are_told(toy, options, message):
    with pytest.raises(UserError, match=message):
        AttGANTraining(AttGAN(1, 16, NAMES, width=4), toy, epochs=1, batch_size=16, **options)


def test_the_literal_objective_leaves_real_or_made_alone(toy):
    module, before = trained(toy, adversarial=False)
    real = [name for name in before if name.startswith("critic.real") and name.endswith("original")]
    assert real
    assert all(torch.equal(before[name], module.net.state_dict()[name]) for name in real)


def test_learning_lowers_the_reconstruction_error(toy):
    x = toy.test[:].x
    a = torch.nn.functional.one_hot(toy.test[:].y, 3).float()

    def error(net):
        with torch.no_grad():
            return float((net.eval().decode(net.encode(x), a) - x).abs().mean())

    short, _ = trained(toy, 1)
    long, _ = trained(toy, 12)
    assert error(long.net) < 0.8 * error(short.net)


def test_single_edits_turn_one_attribute_each():
    class Echo:
        """Decodes to the condition itself."""

        def encode(self, x):
            return x

        def decode(self, z, condition):
            return condition[:, :, None, None]

    shown = single_edits(Echo(), torch.zeros(1, 1), torch.tensor([[0.2, 1.0]]))[0, :, :, 0, 0]
    torch.testing.assert_close(shown, torch.tensor([[0.2, 1.0], [1.0, 1.0], [0.2, 0.0]]))
    shown = single_edits(Echo(), torch.zeros(1, 1), torch.tensor([[0.2, 1.0, 0.0]]), exclusive=(1, 2))[
        0, :, :, 0, 0
    ]
    torch.testing.assert_close(shown[2:], torch.tensor([[0.2, 1.0, 0.0], [0.2, 0.0, 1.0]]))
    apart = torch.tensor([[False, True], [True, False]])
    shown = single_edits(Echo(), torch.zeros(1, 1), torch.tensor([[0.2, 1.0]]), apart=apart)[0, :, :, 0, 0]
    torch.testing.assert_close(
        shown[1:], torch.tensor([[1.0, 0.0], [0.2, 0.0]])
    )  # put on: the other comes off; taken off: it stays
