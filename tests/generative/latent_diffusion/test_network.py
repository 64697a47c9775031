from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.generator import Decodes, Denoises
from counterfoil.generative.latent_diffusion.network import Block, LatentDiffusion, waves


@pytest.fixture
def net(tiny_vae: nn.Module) -> LatentDiffusion:
    torch.manual_seed(0)
    made = LatentDiffusion(tiny_vae, 3, width=8, layers=2, timesteps=50).double().eval()
    for value in made.parameters():  # blocks start as nothing
        nn.init.normal_(value, std=0.3)
    made.measure(torch.randn(20, 4).double() * 2 + 3)
    return made


def test_the_code_is_standardised_and_put_back(net: LatentDiffusion, toy: Any) -> None:
    x = toy.train[range(20)].x.double()
    codes = net.generator.encode(x)
    net.measure(codes)
    z = net.code(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(4).double())
    torch.testing.assert_close(z.std(0, unbiased=False), torch.ones(4).double())
    torch.testing.assert_close(net.image(z), net.generator.decode(codes))
    net.measure(torch.ones(3, 4))
    assert net.standard(torch.ones(3, 4).double()).isfinite().all()


def test_the_class_is_told_or_not(net: LatentDiffusion) -> None:
    noisy, t = torch.randn(3, 4).double(), torch.tensor([1, 20, 50])
    told = [net(noisy, t, torch.full((3,), label)) for label in range(3)]
    assert all((told[0] != other).any(1).all() for other in (*told[1:], net(noisy, t)))
    torch.testing.assert_close(net(noisy, t), net(noisy, t, torch.full((3,), 3)))
    torch.testing.assert_close(net(noisy[1:2], t[1:2]), net(noisy, t)[1:2])


def test_a_step_back_keeps_the_noise(net: LatentDiffusion) -> None:
    z, noise = torch.randn(2, 4).double(), torch.randn(2, 4).double()
    t, s = torch.tensor([40, 30]), torch.tensor([20, 0])
    noisy = net.noised(z, t, noise)
    kept = net.noising.kept[40]
    torch.testing.assert_close(noisy[0], kept.sqrt() * z[0] + (1 - kept).sqrt() * noise[0])
    torch.testing.assert_close(net.estimate(noisy, noise, t), z)
    torch.testing.assert_close(net.back(noisy, noise, t, s), net.noised(z, s, noise))
    torch.testing.assert_close(net.back(noisy, noise, t, s)[1], z[1])
    assert net.levels(0.2, 5).tolist() == [10, 8, 6, 4, 2, 0]


def test_classes_are_dropped_at_their_share(tiny_vae: nn.Module) -> None:
    seen: list[Tensor] = []

    class Heard(LatentDiffusion):
        def forward(self, noisy: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
            assert label is not None
            seen.append(label)
            return noisy * 0

    net = Heard(tiny_vae, 3, width=8, dropped=0.25)
    draw = torch.Generator().manual_seed(0)
    terms = net.loss(torch.randn(4000, 4).double(), torch.full((4000,), 2), draw)
    assert (seen[0] == 3).double().mean().item() == pytest.approx(0.25, abs=0.03)
    assert set(seen[0].tolist()) == {2, 3}
    assert terms["loss"].item() == pytest.approx(1, abs=0.05)  # of no guess at all


def test_samples_are_images_of_any_class(net: LatentDiffusion) -> None:
    noise = torch.randn(3, 4).double()
    drawn = net.sample(noise, 4, torch.tensor([0, 1, 2]))
    assert drawn.shape == (3, 1, 16, 16)
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert not torch.equal(drawn, net.sample(noise, 4))


def test_a_block_starts_as_nothing() -> None:
    h = torch.randn(2, 6)
    assert torch.equal(Block(6)(h, torch.randn(2, 6)), h)


def test_waves_tell_times_apart() -> None:
    found = waves(torch.arange(1000), 16)
    assert found.shape == (1000, 16)
    assert torch.cdist(found, found).fill_diagonal_(1).min() > 1e-3


def test_it_is_no_diffusion_of_images_and_no_generator_of_codes(net: LatentDiffusion) -> None:
    assert not isinstance(net, Denoises)
    assert not isinstance(net, Decodes)
    assert not any(key.startswith("generator") for key in net.state_dict())


def test_bad_options_are_told(tiny_vae: nn.Module) -> None:
    with pytest.raises(UserError, match=r"generative.net.width=7: expected an even number"):
        LatentDiffusion(tiny_vae, 3, width=7)
    for dropped in (0.0, 1.0):  # of which one learns nothing without a class, the other nothing of any
        with pytest.raises(UserError, match=r"dropped=.: expected a number above 0 and below 1"):
            LatentDiffusion(tiny_vae, 3, dropped=dropped)
    with pytest.raises(UserError, match="explainer ldce needs a generator"):
        LatentDiffusion(None, 3)
