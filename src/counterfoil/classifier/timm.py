"""Image classifiers of the library timm: `classifier=timm classifier.path=FOLDER`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from counterfoil.classifier.adapted import Adapted, Mean, Std
from counterfoil.core.bounds import Count
from counterfoil.core.errors import UserError, first_line
from counterfoil.util.checkpoint import load_weights
from counterfoil.util.extra import optional
from counterfoil.util.hub import folder_of, on_hub

INSTALL = "counterfoil[timm]"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""A file of weights; the last is read as weights alone."""
FILES = ("config.json", "model.safetensors")
"""What is downloaded of a model on the hub."""


class Timm(Adapted):
    """A classifier of timm with the size, normalisation and names of classes of its own config.

    Args:
        path: what `timm.models.save_for_hf` wrote, or a name on the hub, such as timm/resnet18.a1_in1k.
        channels, size: of the images to explain.
        mean, std: in place of its own, of images in [0, 1].
        resize: scale images of another size inside the network.

    Raises:
        UserError: no such folder, weights that do not fit, images of another shape; no timm, or one whose
            torchvision is broken.
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
        what = f"classifier.path={path}"
        net = _network(Path(path), what)
        own: dict[str, Any] = dict(net.pretrained_cfg)
        shown, height, width = own.get("input_size") or (None, None, None)
        super().__init__(
            net,
            (channels, size),
            what,
            channels=shown,
            size=(height, width) if height and width else None,
            mean=own.get("mean", 0.0) if mean is None else mean,
            std=own.get("std", 1.0) if std is None else std,
            resize=resize,
        )

    @staticmethod
    def find(path: str) -> Path:
        """The folder that a path or a name on the hub stands for; timm's own names lie under timm/ there."""
        on_its_own = not Path(path).expanduser().exists() and on_hub(f"timm/{path}")
        return folder_of(f"timm/{path}" if on_its_own else path, FILES, INSTALL)


def _network(folder: Path, what: str) -> Any:
    """The network with its weights, which are read as weights alone."""
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if not (folder / "config.json").is_file() or weights is None:
        found = f"lacks config.json or {WEIGHTS[0]}" if folder.is_dir() else "is no folder"
        raise UserError(
            f"{what} {found}; give the folder that timm.models.save_for_hf wrote, or a name, such "
            "as resnet18.a1_in1k"
        )
    library = optional("timm", what, INSTALL)
    try:
        net: nn.Module = library.create_model(f"local-dir:{folder}", pretrained=False)
    except Exception as error:
        raise UserError(f"{what} is not read as a model of timm ({first_line(error)[:200]})") from error
    load_weights(net, weights)
    return net.eval()
