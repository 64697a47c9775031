import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.explainer.aip import AIP
from counterfoil.generative.attgan.network import AttGAN


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return AttGAN(1, 16, ["A", "B"], width=4).double().eval()


@pytest.fixture
def x(toy):
    return toy.test[:4].x.double()


class Pixelwise(torch.nn.Module):
    """The code is the image; each of two attributes brightens or darkens it along a pattern of its own."""

    attribute_names = ("A", "B")

    def __init__(self):
        super().__init__()
        self.register_buffer(
            "patterns", torch.randn(2, 256, generator=torch.Generator().manual_seed(0)).double()
        )

    def encode(self, x, condition=None):
        return x.flatten(1).clamp(0.01, 0.99).logit()

    def attributes(self, x):
        return torch.full((len(x), 2), 0.5).to(x)

    def decode(self, z, condition=None):
        return (z + (condition - 0.5) @ self.patterns).sigmoid().view(-1, 1, 16, 16)


def test_one_step_by_hand(tiny_classifier, generator, x):
    """z_1 = z_0 - mu dL/dz and a_1 = a_0 - gamma dL/da, where the norms have no gradient yet."""
    mu, gamma = 0.01, 0.02
    cf = AIP(tiny_classifier, generator, mu=mu, gamma=gamma, n_max=1, confidence=1.0, best=True)(x)
    z = generator.encode(x).detach().requires_grad_()
    a = generator.attributes(x).detach().requires_grad_()
    loss = torch.nn.functional.cross_entropy(
        tiny_classifier(generator.decode(z, a)), cf.target, reduction="sum"
    )
    dz, da = torch.autograd.grad(loss, (z, a))
    stepped = generator.decode(z - mu * dz, a - gamma * da)
    before = tiny_classifier(generator.decode(z, a)).softmax(1).gather(1, cf.target[:, None])[:, 0]
    rises = cf.target_probability > before * (1 + 1e-9)  # else the start is kept as the likeliest
    assert rises.any()
    torch.testing.assert_close(cf.counterfactual[rises], stepped[rises].detach())
    torch.testing.assert_close(cf.changes["A"][rises], -gamma * da[rises, 0])


def test_stops_at_the_first_flip_and_at_the_end(tiny_classifier, generator, x):
    """The listing's condition would do neither."""
    first = AIP(tiny_classifier, Pixelwise(), mu=0.5, gamma=0.1, beta=1.0, n_max=500)(x)
    assert first.valid.all()
    assert ((first.steps > 0) & (first.steps < 500)).any()
    never = AIP(tiny_classifier, generator, mu=1e-9, gamma=1e-9, n_max=3, confidence=1.0)(x)
    assert (never.steps == 3).all()
    assert (never.counterfactual != never.factual).flatten(1).any(1).all()


def test_holding_the_code_or_the_attributes(tiny_classifier, generator, x):
    only_a = AIP(tiny_classifier, generator, mu=0.0, n_max=5)(x)
    assert torch.equal(only_a.extra["latent_perturbation"], torch.zeros(4).double())
    only_z = AIP(tiny_classifier, generator, gamma=0.0, n_max=5)(x)
    assert torch.equal(only_z.changes["B"], torch.zeros(4).double())
    assert (only_z.extra["latent_perturbation"] > 0).any()


def test_the_best_moves_no_farther_than_the_first(tiny_classifier, x):
    generator = Pixelwise()
    first, best = (
        AIP(tiny_classifier, generator, mu=2.0, gamma=0.5, alpha=0.2, n_max=100, best=best)(x)
        for best in (False, True)
    )
    assert torch.equal(first.valid & ~best.valid, torch.zeros(4, dtype=torch.bool))
    assert (best.steps == 100).all()
    size = generator.encode(x).norm(dim=1)

    def moved(cf):
        changes = torch.stack(list(cf.changes.values()), 1)
        return changes.norm(dim=1) + size * cf.extra["latent_perturbation"]

    assert first.valid.all()
    assert (moved(best) <= moved(first) + 1e-9).all()
    assert (moved(best) < moved(first) - 1e-3).any()


def test_refuses(tiny_classifier, tiny_vae, generator):
    with pytest.raises(UserError, match="needs a generator with attributes, found VAE"):
        AIP(tiny_classifier, tiny_vae)
    with pytest.raises(UserError, match=r"beta=1\.5"):
        AIP(tiny_classifier, generator, beta=1.5)
    with pytest.raises(UserError, match="needs a generator"):
        AIP(tiny_classifier, None)
