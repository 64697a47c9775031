"""Auto-encoders that the library diffusers saved: `generative=huggingface_vae generative.path=FOLDER`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from counterfoil.core.bounds import Count
from counterfoil.core.errors import UserError, first_line
from counterfoil.util.extra import optional
from counterfoil.util.finite import refuse_broken
from counterfoil.util.hub import folder_of
from counterfoil.util.record import read_json

INSTALL = "counterfoil[diffusion]"
FILES = ("config.json", "diffusion_pytorch_model.safetensors", "vae/*.json", "vae/*.safetensors")
"""What is downloaded of a model on the hub."""


class HuggingFaceVae(nn.Module):
    """The AutoencoderKL of a folder, as the generator of methods that search a code.

    z = E[q(z | 2 x - 1)] as one vector,  G(z) = (decoder(z) + 1) / 2, clamped to [0, 1]

    Args:
        path: what `save_pretrained` wrote, of the auto-encoder or of a pipeline around it, or a name on the
            hub.
        channels, size: of the images; a grey one is shown in each channel of a network for colours, whose
            pictures are averaged over them.
        scaled: whether codes are multiplied by the folder's `scaling_factor`, which gives those of latent
            diffusion models a variance of about 1.

    Source: Auto-Encoding Variational Bayes (Kingma and Welling, 2014), arXiv 1312.6114; the network: Latent
    Diffusion (Rombach et al., 2022), arXiv 2112.10752.

    Raises:
        UserError: no such folder, weights that lack, images of another shape than it can halve.
    """

    def __init__(self, path: Path | str, channels: Count, size: Count, scaled: bool = False) -> None:
        super().__init__()
        what = f"generative.path={path}"
        folder = Path(path) / "vae" if (Path(path) / "vae/config.json").is_file() else Path(path)
        config = _config(folder, what)
        shown, halvings = int(config.get("in_channels", 3)), len(config.get("block_out_channels", [64])) - 1
        if shown != channels and channels != 1:
            raise UserError(
                f"{what} encodes images of {shown} channel(s), the data have {channels}; set data.channels="
            )
        if size % 2**halvings:
            raise UserError(
                f"{what} halves images {halvings} times, which {size} px do not allow; set data.size "
                f"to a multiple of {2**halvings}"
            )
        self.net: Any = _network(folder, what)
        self.channels, self.shown = channels, shown
        side = size // 2**halvings
        self.shape = (int(config.get("latent_channels", 4)), side, side)
        self.latent = math.prod(self.shape)
        self.scale = float(config.get("scaling_factor") or 1.0) if scaled else 1.0

    @staticmethod
    def find(path: str) -> Path:
        """The folder that a path or a name on the hub stands for."""
        return folder_of(path, FILES, INSTALL)

    def posterior(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, Z) of q(z | x) for images (B, C, H, W) in [0, 1]."""
        found = self.net.encode(2 * x.expand(-1, self.shown, -1, -1) - 1).latent_dist
        return self.scale * found.mean.flatten(1), found.logvar.flatten(1) + 2 * math.log(self.scale)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The posterior mean (B, Z)."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1]."""
        image: Tensor = self.net.decode(z.unflatten(1, self.shape) / self.scale).sample
        image = image if self.shown == self.channels else image.mean(1, keepdim=True)
        return ((image + 1) / 2).clamp(0, 1)


def _config(folder: Path, what: str) -> dict[str, Any]:
    if not (folder / "config.json").is_file():
        found = "has no config.json" if folder.is_dir() else "is no folder"
        raise UserError(f"{what} {found}; give the folder that save_pretrained of an AutoencoderKL wrote")
    config = read_json(folder / "config.json", "config of a model; save it again")
    if config.get("_class_name") != "AutoencoderKL":
        raise UserError(f"{what} holds a {config.get('_class_name')}; expected an AutoencoderKL")
    return config


def _network(folder: Path, what: str) -> nn.Module:
    """The network, from safetensors alone."""
    library = optional("diffusers", what, INSTALL)
    before = library.logging.get_verbosity()
    library.logging.set_verbosity_error()  # what it warns of is refused below, in one line
    try:
        net, told = library.AutoencoderKL.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    except Exception as error:
        raise UserError(
            f"{what} cannot be read ({first_line(error)[:200]}); save it again with save_pretrained"
        ) from error
    finally:
        library.logging.set_verbosity(before)
    if told["missing_keys"]:
        raise UserError(
            f"{what} lacks weights, such as {min(told['missing_keys'])}; save it again with save_pretrained"
        )
    refuse_broken(net, what, "its training diverged: save another one")
    whole: nn.Module = net.float().eval()
    return whole
