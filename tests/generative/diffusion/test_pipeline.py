"""A pipeline that diffusers saved explains images by its path alone, and bad folders are told in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.generative.diffusion.pipeline import read_pipeline
from counterfoil.run.config import RunConfig
from counterfoil.run.models import Models


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DDPMPipeline for grey images of 28 px."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 8),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        add_attention=False,
    )
    folder = tmp_path_factory.mktemp("pipeline") / "saved"
    DDPMPipeline(unet, DDPMScheduler(num_train_timesteps=50)).save_pretrained(folder)
    return folder


def spoilt(saved: Path, folder: Path, file: str, **options: Any) -> Path:
    """A copy with options of one of its files changed."""
    for path in (path for path in saved.rglob("*") if path.is_file()):
        copy = folder / path.relative_to(saved)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | options))
    return folder


def test_it_tells_what_the_library_tells(saved: Path) -> None:
    from diffusers import DDPMScheduler, UNet2DModel

    net = read_pipeline(saved, 1, 28).eval()
    assert net.timesteps == 50
    unet = UNet2DModel.from_pretrained(str(saved), subfolder="unet").eval()
    scheduler = DDPMScheduler.from_pretrained(str(saved), subfolder="scheduler", clip_sample=False)
    noisy = torch.randn(2, 1, 28, 28)
    with torch.no_grad():
        told = unet(noisy, 30).sample
        step = scheduler.step(told, 30, noisy, generator=torch.Generator().manual_seed(0))
        image = net.clean(noisy, torch.tensor([31, 31]))
    torch.testing.assert_close(2 * image - 1, step.pred_original_sample)
    mean, deviation = net.before(noisy, image, *(torch.tensor([t, t]) for t in (31, 30)))
    drawn = torch.randn(noisy.shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mean + deviation * drawn, step.prev_sample)


def test_a_pipeline_explains_by_its_path_alone(saved: Path, bench: Any, tmp_path: Path) -> None:
    found = bench.evaluate(
        tmp_path / "run",
        "explainer=fastdime",
        f"explainer.fastdime.generator.checkpoint={saved}",
        "explainer.fastdime.steps=3",
        "explainer.fastdime.rounds=1",
        "n=3",
        "metric=[validity]",
    )
    assert "fastdime" in json.dumps(found)


def test_it_has_a_name_of_its_own(saved: Path, bench: Any) -> None:
    """And is the same network."""
    given = ("generative=diffusers", f"generative.path={saved}", f"store={bench.store}", "data.limit=150")
    run = RunConfig.of(bench.compose("evaluate", *given)[0])
    assert run.generative is not None
    made, read = Models.of(run).load(run.generative), read_pipeline(saved, 1, 28)
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in made.state_dict().items())


@pytest.mark.parametrize(("channels", "size"), [(3, 28), (1, 32)])
def test_images_of_another_shape_are_refused(saved: Path, channels: int, size: int) -> None:
    refused(saved, "draws images of 1 channels and 28 px, the data have", channels, size)


@pytest.mark.parametrize(
    ("file", "options", "told"),
    [
        ("unet/config.json", {"_class_name": "UNet2DConditionModel"}, "is a UNet2DConditionModel"),
        ("unet/config.json", {"num_class_embeds": 10}, "with a condition"),
        ("unet/config.json", {"layers_per_block": 3}, "lacks weights"),
        ("scheduler/scheduler_config.json", {"prediction_type": "flow"}, "prediction_type=flow"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "sideways"}, "cannot be read"),
    ],
)
def test_other_pipelines_are_refused(
    saved: Path, tmp_path: Path, file: str, options: dict[str, Any], told: str
) -> None:
    refused(spoilt(saved, tmp_path, file, **options), told)


def test_a_folder_without_one_is_refused(saved: Path, tmp_path: Path) -> None:
    refused(tmp_path, "model_index.json is not there")
    copy = spoilt(saved, tmp_path / "pickled", "unet/config.json")
    (copy / "unet/diffusion_pytorch_model.safetensors").rename(copy / "unet/diffusion_pytorch_model.bin")
    refused(copy, "cannot be read")


def refused(folder: Path, told: str, channels: int = 1, size: int = 28) -> None:
    with pytest.raises(UserError) as caught:
        read_pipeline(folder, channels, size)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_models_do_not_take_a_folder(saved: Path, bench: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder; expected a file of weights"):
        bench.evaluate(tmp_path / "run", "explainer=revise", f"generative.checkpoint={saved}", "n=3")
