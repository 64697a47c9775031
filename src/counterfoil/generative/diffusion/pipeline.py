"""Reads a pre-trained pipeline of the library diffusers from the folder that it was saved to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast, get_args

from counterfoil.core.errors import UserError, first_line
from counterfoil.generative.diffusion.network import Denoiser, Prediction, diffusers
from counterfoil.util.finite import refuse_broken
from counterfoil.util.record import read_json

PARTS = ("model_index.json", "unet/config.json", "scheduler/scheduler_config.json")
"""Files that every folder of an unconditional pipeline holds."""
AGAIN = "save it again with pipeline.save_pretrained(FOLDER, safe_serialization=True)"


def read_pipeline(folder: Path, channels: int, size: int) -> Denoiser:
    """The unconditional UNet2DModel of a pipeline, such as a DDPMPipeline, with its schedule.

    Weights are read from safetensors alone, and nothing is downloaded.

    Args:
        folder: what `pipeline.save_pretrained` wrote.
        channels, size: of the images to explain.

    Raises:
        UserError: a folder that holds none, or one of another kind, for other images, or without
            safetensors; no diffusers installed.
    """
    library = diffusers()
    what = f"checkpoint {folder}"
    missing = [name for name in PARTS if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{what} is no folder of a diffusers pipeline: {missing[0]} is not there; give the folder that "
            "pipeline.save_pretrained(FOLDER) wrote"
        )
    _refuse_other(what, folder, channels, size)
    unet, scheduler = _loaded(library, what, folder)
    prediction = str(scheduler.config.prediction_type)
    if prediction not in get_args(Prediction):
        known = ", ".join(get_args(Prediction))
        raise UserError(f"{what}: prediction_type={prediction} is not supported; expected one of {known}")
    net = Denoiser(
        unet, scheduler.alphas_cumprod.double(), channels, size, prediction=cast(Prediction, prediction)
    )
    refuse_broken(net, what, "its training diverged: save another one")
    return net


def _refuse_other(what: str, folder: Path, channels: int, size: int) -> None:
    """Refuse a network of another kind, or for images of another shape."""
    config = read_json(folder / "unet/config.json", "unet of a diffusers pipeline")
    kind = config.get("_class_name")
    if kind != "UNet2DModel" or config.get("num_class_embeds") or config.get("class_embed_type"):
        kind = kind if kind != "UNet2DModel" else "UNet2DModel with a condition"
        raise UserError(f"{what}: its unet is a {kind}; expected an unconditional UNet2DModel")
    side = config.get("sample_size")
    sides = [size if each is None else each for each in (side if isinstance(side, list) else [side])]
    if config.get("in_channels") != channels or set(sides) != {size}:
        found = f"{config.get('in_channels')} channels and {' x '.join(map(str, sides))} px"
        raise UserError(
            f"{what} draws images of {found}, the data have {channels} and {size} px; choose a pipeline of "
            "these, or scale the data by data.size"
        )


def _loaded(library: Any, what: str, folder: Path) -> tuple[Any, Any]:
    """The network and the scheduler."""
    here = {"pretrained_model_name_or_path": str(folder), "local_files_only": True}
    before = library.logging.get_verbosity()
    library.logging.set_verbosity_error()  # what it warns of is refused below, in one line
    try:
        unet, told = library.UNet2DModel.from_pretrained(
            **here, subfolder="unet", use_safetensors=True, low_cpu_mem_usage=False, output_loading_info=True
        )
        scheduler = library.DDPMScheduler.from_pretrained(**here, subfolder="scheduler")
    except Exception as error:
        raise UserError(f"{what} cannot be read ({first_line(error)}); {AGAIN}") from error
    finally:
        library.logging.set_verbosity(before)
    if told["missing_keys"]:
        raise UserError(f"{what} lacks weights, such as {min(told['missing_keys'])}; {AGAIN}")
    return unet.float(), scheduler
