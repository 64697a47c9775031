"""The noise that is added, the steps back, and networks for images of several sizes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.generator import Denoises
from counterfoil.generative.diffusion import network
from counterfoil.generative.diffusion.network import Denoiser, Diffusion, kept_of


class Output:
    def __init__(self, sample: Tensor) -> None:
        self.sample = sample


class Told(nn.Module):
    """Puts out what it was made with, whatever it is shown."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, noisy: Tensor, t: Tensor) -> Output:
        return Output(self.value)


def test_schedules_end_in_noise() -> None:
    linear, cosine = kept_of("linear", 1000), kept_of("cosine", 1000)
    assert linear[0].item() == pytest.approx(1 - 1e-4)
    assert linear[299].item() == pytest.approx(0.396, abs=1e-3)
    assert cosine[499].item() == pytest.approx(math.cos(0.508 / 1.008 * math.pi / 2) ** 2, abs=1e-3)
    for kept in (linear, cosine, kept_of("linear", 100)):
        assert (kept.diff() < 0).all()
        assert 0 < kept[-1] < 1e-4


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_the_image_is_found_whatever_the_network_tells(prediction: str) -> None:
    torch.manual_seed(0)
    x, noise = torch.rand(2, 3, 4, 4, dtype=torch.float64), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    kept = kept_of("linear", 100)
    t = torch.tensor([1, 70])
    a = kept[t - 1].view(-1, 1, 1, 1)
    told = {
        "epsilon": noise,
        "v_prediction": a.sqrt() * noise - (1 - a).sqrt() * (2 * x - 1),
        "sample": 2 * x - 1,
    }[prediction]
    # beside the image a variance, as some networks learn it
    net = Denoiser(Told(torch.cat((told, told), 1)), kept, 3, 4, prediction=prediction)  # type: ignore[arg-type]
    noisy = net.noised(x, t, noise)
    torch.testing.assert_close(noisy, a.sqrt() * (2 * x - 1) + (1 - a).sqrt() * noise)
    torch.testing.assert_close(net.clean(noisy, t), x)
    assert isinstance(net, Denoises)


def test_a_step_back_has_the_moments_of_the_posterior() -> None:
    """By Bayes: x_s ~ N(signal, 1 - a_s) and x_t = sqrt(a_t / a_s) x_s + noise of variance 1 - a_t / a_s."""
    net = Denoiser(nn.Identity(), kept_of("linear", 100), 1, 1)
    t, s = torch.tensor([60]), torch.tensor([40])
    x, noisy = torch.full((1, 1, 1, 1), 0.7).double(), torch.full((1, 1, 1, 1), -0.3).double()
    now, then = net.kept[60], net.kept[40]
    step = now / then
    precision = 1 / (1 - then) + step / (1 - step)
    mean = (then.sqrt() * 0.4 / (1 - then) + step.sqrt() * -0.3 / (1 - step)) / precision
    found, deviation = net.before(noisy, x, t, s)
    assert found.item() == pytest.approx(mean.item())
    assert deviation.item() == pytest.approx(precision.item() ** -0.5)
    last, none = net.before(noisy, x, t, torch.tensor([0]))
    assert (last.item(), none.item()) == (pytest.approx(0.4), 0.0)


def test_levels_fall_to_nought() -> None:
    net = Denoiser(nn.Identity(), kept_of("linear", 1000), 1, 1)
    assert net.levels(0.2, 4).tolist() == [200, 150, 100, 50, 0]
    few = net.levels(0.002, 5).tolist()
    assert len(few) == 6
    assert few[-1] == 0
    assert min(few[:-1]) == 1


@pytest.mark.parametrize(("channels", "size", "patch"), [(1, 28, 2), (3, 64, 4), (1, 16, 1)])
def test_networks_take_images_of_any_shape(channels: int, size: int, patch: int) -> None:
    torch.manual_seed(0)
    net = Diffusion(channels, size, patch=patch, width=4, timesteps=20).eval()
    noise = torch.randn(2, channels, size, size)
    drawn = net.sample(noise, 3, torch.Generator().manual_seed(0))
    assert drawn.shape == noise.shape
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert torch.equal(drawn, net.sample(noise, 3, torch.Generator().manual_seed(0)))
    assert net.loss(torch.rand(2, channels, size, size))["loss"].isfinite()


@pytest.mark.parametrize(("options", "named"), [({"size": 15}, "patch"), ({"width": 5}, "width")])
def test_bad_options_are_told(options: dict[str, int], named: str) -> None:
    with pytest.raises(UserError, match=named):
        Diffusion(1, **options)  # type: ignore[arg-type]


def test_without_the_library_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"pip install 'counterfoil\[diffusion\]'") as caught:
        Diffusion(1, 16)
    assert "\n" not in str(caught.value)
