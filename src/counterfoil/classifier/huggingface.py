"""Image classifiers that the library transformers saved: `classifier=huggingface classifier.path=FOLDER`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from counterfoil.classifier.adapted import Adapted, Mean, Std
from counterfoil.core.bounds import Count
from counterfoil.core.errors import CounterfoilWarning, UserError, first_line
from counterfoil.util.extra import optional
from counterfoil.util.finite import refuse_broken
from counterfoil.util.hub import folder_of
from counterfoil.util.record import read_json

INSTALL = "counterfoil[huggingface]"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
"""A file of weights, or a list of several; the last is read as weights alone."""
FILES = ("config.json", "preprocessor_config.json", "processor_config.json", "model*.safetensors*")
"""What is downloaded of a model on the hub."""
CHANNELS = ("num_channels", "in_channels", "num_input_channels")


class HuggingFace(Adapted):
    """An image classifier with the size, normalisation and names of classes of its own folder.

    Weights are read from safetensors, or as weights alone; no code of the folder is run.

    Args:
        path: what `save_pretrained` wrote, or the name of a model on the hub.
        channels, size: of the images to explain.
        mean, std: in place of the folder's own, of images in [0, 1].
        resize: scale images of another size inside the network.

    Raises:
        UserError: no folder of an image classifier, weights that lack or do not fit, images of another shape.
    """

    def __init__(
        self,
        path: Path | str,
        channels: Count,
        size: Count,
        mean: Mean | None = None,
        std: Std | None = None,
        resize: bool = False,
    ) -> None:
        folder, what = Path(path), f"classifier.path={path}"
        config = _config(folder, what)
        processor = _processor(folder)
        if processor is None and mean is None and std is None:
            warnings.warn(
                f"{what} has no preprocessor_config.json: images are shown to the network as they are, in "
                "[0, 1]; set classifier.mean= and classifier.std= where it expects others",
                CounterfoilWarning,
                stacklevel=2,
            )
        own = normalisation(processor or {"do_normalize": False})
        found = next((config[name] for name in CHANNELS if isinstance(config.get(name), int)), None)
        super().__init__(
            _network(folder, what),
            (channels, size),
            what,
            channels=found,
            size=shown(config, processor or {}),
            mean=own[0] if mean is None else mean,
            std=own[1] if std is None else std,
            resize=resize,
        )

    @staticmethod
    def find(path: str) -> Path:
        """The folder that a path or a name on the hub stands for."""
        return folder_of(path, FILES, INSTALL)


def normalisation(processor: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Mean and std of images in [0, 1], as a preprocessor_config.json scales those of 0 to 255.

    (a x - o - m) / s = (x - (m + o) / a) / (s / a),  a = 255 * rescale_factor
    """
    factor = float(processor.get("rescale_factor") or 1 / 255) if processor.get("do_rescale", True) else 1.0
    scale = 255 * factor
    offset = 1.0 if processor.get("rescale_offset") else 0.0
    own = processor if processor.get("do_normalize", True) else {}
    mean, std = own.get("image_mean") or 0.0, own.get("image_std") or 1.0
    return [(m + offset) / scale for m in _numbers(mean)], [s / scale for s in _numbers(std)]


def shown(config: Mapping[str, Any], processor: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width of the images that a network is shown; None where nothing tells."""
    cropped = processor.get("crop_size") if processor.get("do_center_crop") else None
    scaled = processor.get("size") if processor.get("do_resize", True) else None
    for given in (cropped, scaled, config.get("image_size")):
        if isinstance(given, Mapping):
            side = given.get("shortest_edge")
            given = (given.get("height", side), given.get("width", side))
        sides = (given, given) if isinstance(given, int) else tuple(given or ())
        if len(sides) == 2 and all(isinstance(side, int) for side in sides):
            return sides[0], sides[1]
    return None


def _numbers(given: Any) -> list[float]:
    return [float(each) for each in (given if isinstance(given, list | tuple) else [given])]


def _config(folder: Path, what: str) -> dict[str, Any]:
    if not (folder / "config.json").is_file():
        found = "has no config.json" if folder.is_dir() else "is no folder"
        raise UserError(
            f"{what} {found}; give the folder that save_pretrained wrote, or the name of a model on the hub, "
            "such as google/vit-base-patch16-224"
        )
    config = read_json(folder / "config.json", "config of a model; save it again")
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise UserError(f"{what} holds no weights ({WEIGHTS[0]}); save the model again with save_pretrained")
    return config


def _processor(folder: Path) -> dict[str, Any] | None:
    """What the folder says of images; transformers is not asked, which needs torchvision for that."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            found = read_json(folder / name, "preprocessor of a model; save it again")
            own: dict[str, Any] = found.get("image_processor", found)
            return own
    return None


def _network(folder: Path, what: str) -> nn.Module:
    net: nn.Module = read_pretrained(folder, what, "an image classifier", "AutoModelForImageClassification")[
        0
    ]
    return net


def read_pretrained(folder: Path, what: str, kind: str, model: str, *others: str) -> list[Any]:
    """What a folder of transformers holds, read without a word of the library and without running its code.

    Args:
        folder: of the model.
        what: names it in messages.
        kind: what it is expected to be.
        model: the auto class of the network, which comes first, in float32 and found whole.
        others: auto classes that are read beside it, such as AutoTokenizer.

    Raises:
        UserError: the library is missing, or what is in the folder is not that, lacks weights or is broken.
    """
    library = optional("transformers", what, INSTALL)
    speaks = library.utils.logging
    before, bar = speaks.get_verbosity(), speaks.is_progress_bar_enabled()
    speaks.set_verbosity_error()  # what it warns of is refused below, in one line
    speaks.disable_progress_bar()
    given = {"local_files_only": True, "trust_remote_code": False}
    try:
        net, told = getattr(library, model).from_pretrained(str(folder), output_loading_info=True, **given)
        beside = [getattr(library, other).from_pretrained(str(folder), **given) for other in others]
    except Exception as error:
        raise UserError(
            f"{what} is not read as {kind} ({first_line(error)[:200]}); save one again with save_pretrained"
        ) from error
    finally:
        speaks.set_verbosity(before)
        if bar:
            speaks.enable_progress_bar()
    if told["missing_keys"]:
        raise UserError(
            f"{what} lacks weights of {type(net).__name__}, such as {min(told['missing_keys'])}; save the "
            "whole classifier again, trained, with save_pretrained"
        )
    refuse_broken(net, what, "its training diverged: save another one")
    return [net.float(), *beside]
