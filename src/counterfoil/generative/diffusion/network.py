"""Denoising diffusion over a UNet of the library diffusers."""

from __future__ import annotations

import math
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Pair, checks_options
from counterfoil.core.errors import UserError
from counterfoil.util.hub import folder_of

Prediction = Literal["epsilon", "v_prediction", "sample"]
"""What the network of a diffusion model puts out: the noise, the velocity, or the clean image."""
FILES = ("model_index.json", "unet/*.json", "unet/*.safetensors", "scheduler/*.json")
"""What is downloaded of a pipeline on the hub."""
Schedule = Literal["linear", "cosine"]
"""How the noise grows: by Ho et al. 2020 or by Nichol and Dhariwal 2021."""
MOST = 0.999
"""Largest share of the signal that one step of the cosine schedule takes away."""


@checks_options
class Noising(nn.Module):
    """Levels of noise, x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) e,  e ~ N(0, I),  a_0 = 1,  t = 0 ... T

    Args:
        kept: a_1 ... a_T, the share of the signal's variance at each t.
    """

    kept: Tensor

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", torch.cat((kept.new_ones(1), kept)), persistent=False)

    @property
    def timesteps(self) -> int:
        """T."""
        return len(self.kept) - 1

    def scales(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(a_t) and sqrt(1 - a_t) at t (B,), each (B, 1, ...) as `like`."""
        kept = self.kept[t].view(-1, *[1] * (like.ndim - 1))
        return kept.sqrt().to(like), (1 - kept).sqrt().to(like)

    def levels(self, share: float, steps: int) -> Tensor:
        """t from share * T down to 0 in steps as even as whole numbers allow: (steps + 1,) int64.

        With fewer numbers than steps some t come twice, never 0.
        """
        first = max(round(share * self.timesteps), 1)
        spaced = torch.linspace(first, 0, steps + 1, dtype=torch.float64).round().long()
        spaced[:-1].clamp_(min=1)
        return spaced.to(self.kept.device)


class Denoiser(Noising):
    """Estimates the image in a noisy one.

    x_t = sqrt(a_t) (2 x - 1) + sqrt(1 - a_t) e,  e ~ N(0, I),  a_0 = 1,  t = 0 ... T

    Args:
        unet: noisy images and t - 1 (B,) in, `.sample` out, as a `diffusers.UNet2DModel`.
        kept: a_1 ... a_T, the share of the signal's variance at each t.
        channels, size: of the images.
        prediction: what `unet` puts out.
        patch: side of the squares of pixels that `unet` is shown as channels of one pixel.

    Source: Denoising Diffusion Probabilistic Models (Ho, Jain and Abbeel, 2020), arXiv 2006.11239.
    """

    def __init__(
        self,
        unet: nn.Module,
        kept: Tensor,
        channels: Count,
        size: Count,
        *,
        prediction: Prediction = "epsilon",
        patch: Count = 1,
    ) -> None:
        super().__init__(kept)
        self.unet = unet
        self.channels, self.size = channels, size
        self.prediction = prediction
        self.patch = patch

    def signal(self, t: Tensor) -> Tensor:
        """sqrt(a_t) at t (B,): (B, 1, 1, 1)."""
        return self.kept[t].sqrt().view(-1, 1, 1, 1)

    def noised(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t of images (B, C, H, W) in [0, 1] at t (B,), with standard normal noise (B, C, H, W)."""
        signal, spread = self.scales(t, x)
        return signal * (2 * x - 1) + spread * noise

    def clean(self, noisy: Tensor, t: Tensor) -> Tensor:
        """The images (B, C, H, W) that x_t at t >= 1 (B,) are estimated to show, near [0, 1]."""
        signal, spread = self.scales(t, noisy)
        told = self._tell(noisy, t)
        if self.prediction == "epsilon":
            told = (noisy - spread * told) / signal
        elif self.prediction == "v_prediction":
            told = signal * noisy - spread * told
        return (told + 1) / 2

    def before(self, noisy: Tensor, clean: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, C, H, W) and standard deviation (B, 1, 1, 1) of x_s, s < t, given x_t and the image."""
        now, then = (self.kept[at].to(noisy).view(-1, 1, 1, 1) for at in (t, s))
        step = now / then
        mean = (
            then.sqrt() * (1 - step) / (1 - now) * (2 * clean - 1)
            + step.sqrt() * (1 - then) / (1 - now) * noisy
        )
        return mean, ((1 - step) * (1 - then) / (1 - now)).sqrt()

    @torch.no_grad()
    def sample(self, noise: Tensor, steps: int, draw: torch.Generator | None = None) -> Tensor:
        """Images (N, C, H, W) in [0, 1] drawn from pure noise (N, C, H, W), in so many steps."""
        noisy, levels = noise, self.levels(1.0, steps)
        for now, then in pairwise(levels):
            t, s = now.expand(len(noise)), then.expand(len(noise))
            mean, deviation = self.before(noisy, self.clean(noisy, t).clamp(0, 1), t, s)
            noisy = mean + deviation * torch.randn(noise.shape, generator=draw).to(noise)
        return ((noisy + 1) / 2).clamp(0, 1)

    def _tell(self, noisy: Tensor, t: Tensor) -> Tensor:
        shown = F.pixel_unshuffle(noisy, self.patch) if self.patch > 1 else noisy
        told: Tensor = self.unet(shown, t - 1).sample[:, : shown.shape[1]]  # beside it a learned variance
        return (F.pixel_shuffle(told, self.patch) if self.patch > 1 else told).to(noisy.dtype)


class Diffusion(Denoiser):
    """A small denoising diffusion model, without a condition.

    loss = mean (e - e(x_t, t))^2,  t even over 1 ... T

    Args:
        channels, size: of the images; after `patch` the size is halved while it is even and above 8.
        patch: side of the squares of pixels that the network sees as one pixel with more channels, which
            makes it quicker.
        width: channels of the first stage, doubled in the others.
        layers: residual blocks per stage.
        attention: self-attention at the smallest size.
        timesteps: T.
        schedule: "linear" (betas from 1e-4 to 0.02 at T = 1000) or "cosine".

    Departures: patches after Simple Diffusion (Hoogeboom et al., 2023), arXiv 2301.11093; a small network.
    Source: Denoising Diffusion Probabilistic Models (Ho, Jain and Abbeel, 2020), arXiv 2006.11239; the cosine
    schedule: Improved Denoising Diffusion Probabilistic Models (Nichol and Dhariwal, 2021), arXiv 2102.09672.

    Raises:
        UserError: a size that cannot be halved or cut into patches; no diffusers installed.
    """

    def __init__(
        self,
        channels: Count = 1,
        size: Count = 28,
        *,
        patch: Count = 2,
        width: Pair = 32,
        layers: Count = 1,
        attention: bool = False,
        timesteps: Pair = 1000,
        schedule: Schedule = "linear",
    ) -> None:
        if size % patch:
            raise UserError(
                f"diffusion: images of {size} px cannot be cut into squares of {patch} px; "
                "choose a generative.net.patch that divides data.size, such as 1"
            )
        if width % 2:
            raise UserError(f"diffusion: generative.net.width={width}: expected an even number")
        side, widths = size // patch, [width]
        while side % 2 == 0 and side > 8:
            side, widths = side // 2, [*widths, 2 * width]
        unet = _unet(channels * patch**2, size // patch, widths, layers, attention)
        super().__init__(unet, kept_of(schedule, timesteps), channels, size, patch=patch)

    @staticmethod
    def find(path: str) -> Path:
        """The file or folder that a path, or a name on the hub, stands for."""
        return folder_of(path, FILES, "counterfoil[diffusion]")

    @staticmethod
    def from_folder(folder: Path, channels: int, size: int) -> Denoiser:
        """A pre-trained pipeline in the place of this model, see `read_pipeline`."""
        from counterfoil.generative.diffusion.pipeline import read_pipeline

        return read_pipeline(folder, channels, size)

    def loss(self, x: Tensor, draw: torch.Generator | None = None) -> dict[str, Tensor]:
        """The loss of images in [0, 1]; without `draw` by draws of the global generator."""
        t = torch.randint(1, self.timesteps + 1, (len(x),), generator=draw).to(x.device)
        noise = torch.randn(x.shape, generator=draw).to(x)
        return {"loss": (noise - self._tell(self.noised(x, t, noise), t)).square().mean()}


def kept_of(schedule: Schedule, timesteps: int) -> Tensor:
    """a_1 ... a_T of a schedule (T,), float64."""
    steps = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    if schedule == "cosine":
        curve = ((steps + 0.008) / 1.008 * math.pi / 2).cos().square()
        taken = (1 - curve[1:] / curve[:-1]).clamp(max=MOST)
    else:
        rate = 1000 / timesteps
        taken = torch.linspace(1e-4 * rate, 0.02 * rate, timesteps, dtype=torch.float64).clamp(max=MOST)
    return (1 - taken).cumprod(0)


def diffusers() -> Any:
    """The library; UserError where it is not installed."""
    if find_spec("diffusers") is None:
        raise UserError(
            "generative=diffusion needs the package diffusers: pip install 'counterfoil[diffusion]', or "
            "leave out ace, dime and fastdime"
        )
    return import_module("diffusers")


def _unet(channels: int, size: int, widths: list[int], layers: int, attention: bool) -> nn.Module:
    below = len(widths) - 1
    kinds = ["Attn" if attention and stage == below else "" for stage in range(below + 1)]
    network: nn.Module = diffusers().UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=tuple(widths),
        layers_per_block=layers,
        down_block_types=tuple(f"{kind}DownBlock2D" for kind in kinds),
        up_block_types=tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
        norm_num_groups=math.gcd(8, widths[0]),
        attention_head_dim=math.gcd(8, widths[0]),
        add_attention=attention,
    )
    return network
