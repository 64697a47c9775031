"""An AutoencoderKL that diffusers saved is a generator by its path alone, or is refused in a line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.data.digits import Digits
from counterfoil.generative.huggingface_vae import HuggingFaceVae
from counterfoil.testing import check_generative

Made = tuple[Path, nn.Module]


def small(channels: int) -> nn.Module:
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    stages = {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}
    net: nn.Module = AutoencoderKL(
        channels, channels, **stages, block_out_channels=(8, 8, 16), latent_channels=2, norm_num_groups=4,
        sample_size=28, layers_per_block=1, mid_block_add_attention=False, scaling_factor=0.5,
    )  # fmt: skip
    return net


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One for grey images of 28 px, trained on the shipped digits for a moment."""
    net = small(1)
    x, _, _ = Digits(limit=200).train[:]
    optimiser = torch.optim.Adam(net.parameters(), 5e-3)
    for rows in torch.randperm(len(x)).repeat(2).split(20):
        loss = (net(2 * x[rows] - 1).sample - (2 * x[rows] - 1)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    folder = tmp_path_factory.mktemp("vae") / "saved"
    net.eval().save_pretrained(folder)
    return folder, net


@pytest.mark.parametrize("scaled", [False, True])
def test_it_encodes_and_decodes_as_the_library_does(saved: Made, scaled: bool) -> None:
    folder, net = saved
    x = torch.rand(3, 1, 28, 28)
    read = HuggingFaceVae(folder, 1, 28, scaled).eval()
    with torch.no_grad():
        mean = net.encode(2 * x - 1).latent_dist.mean
        z = read.encode(x)
        assert z.shape == (3, read.latent) == (3, 98)
        torch.testing.assert_close(z, mean.flatten(1) * (0.5 if scaled else 1))
        expected = ((net.decode(mean).sample + 1) / 2).clamp(0, 1)
        torch.testing.assert_close(read.decode(z), expected)


def test_it_keeps_the_promises_of_a_generator(saved: Made) -> None:
    check_generative(HuggingFaceVae(saved[0], 1, 28), torch.rand(3, 1, 28, 28))


def test_grey_images_are_shown_in_colours(tmp_path: Path) -> None:
    net = small(3).eval()
    net.save_pretrained(tmp_path / "pipeline/vae")
    read = HuggingFaceVae(tmp_path / "pipeline", 1, 28).eval()
    x = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        whole = net.decode(net.encode(2 * x.repeat(1, 3, 1, 1) - 1).latent_dist.mean).sample
        expected = ((whole.mean(1, keepdim=True) + 1) / 2).clamp(0, 1)
        torch.testing.assert_close(read.decode(read.encode(x)), expected)


def test_methods_search_its_codes_by_overrides_alone(saved: Made, bench: Any, tmp_path: Path) -> None:
    own = tuple(part for part in bench.models if not part.startswith("generative."))
    small_ones = type(bench)(bench.store, bench.compose, own)
    summary = small_ones.evaluate(
        tmp_path / "run", "generative=huggingface_vae", f"generative.path={saved[0]}", "n=4",
        "explainer=[revise,latent_shift]", "explainer.revise.steps=30", "metric=[validity]", "confidence=0.3",
    )  # fmt: skip
    assert summary["methods"]["revise"]["validity"]["value"] > 0
    assert "latent_shift" in summary["methods"]


def refused(folder: Path, told: str, channels: int = 1, size: int = 28) -> None:
    with pytest.raises(UserError) as caught:
        HuggingFaceVae(folder, channels, size)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_is_refused(saved: Made, tmp_path: Path) -> None:
    folder = saved[0]
    refused(folder, "encodes images of 1 channel(s), the data have 3", channels=3)
    refused(folder, "halves images 2 times, which 30 px do not allow; set data.size to a", size=30)
    refused(tmp_path, "has no config.json; give the folder")
    refused(tmp_path / "none", "is no folder; give the folder")
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"layers_per_block": 2}))
    refused(copy, "lacks weights, such as")
    (copy / "config.json").write_text(json.dumps(config | {"_class_name": "VQModel"}))
    refused(copy, "holds a VQModel; expected an AutoencoderKL")
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "diffusion_pytorch_model.safetensors").rename(copy / "diffusion_pytorch_model.bin")
    refused(copy, "cannot be read (")
