"""LightningModules by checkpoint and class: `classifier=lightning classifier.path=FILE.ckpt`."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities.parsing import AttributeDict
from torch import nn

from counterfoil.classifier.adapted import Adapted, Mean, Std
from counterfoil.core.bounds import Count
from counterfoil.core.errors import UserError, first_line
from counterfoil.util.build import locate
from counterfoil.util.checkpoint import load_torch, load_weights

WHERE = "classifier.net"
AGAIN = (
    "save it again as torch.save({'state_dict': module.state_dict(), 'hyper_parameters': {...}}, FILE) with "
    "numbers and words alone"
)


class Lightning(Adapted):
    """A LightningModule, built anew from the plain hyperparameters that its checkpoint holds.

    Nothing is unpickled: the file is read as weights, numbers and words alone.

    Args:
        path: what `Trainer.save_checkpoint` or a ModelCheckpoint wrote.
        channels, size, class_names: of the data; with `classes` they fill in arguments of these names.
        module: the class, as my_package.MyModule.
        mean, std: normalisation of images in [0, 1] before `forward` of the module.
        options: arguments of the class that the checkpoint lacks, or that shall be others.

    Raises:
        UserError: no such file or class, a file that needs its pickle or is of another class, an argument
            that nothing gives.
    """

    def __init__(
        self,
        path: Path | str,
        channels: Count,
        size: Count,
        class_names: Sequence[str] = (),
        module: str | None = None,
        mean: Mean | None = None,
        std: Std | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if not module:
            raise UserError(f"{WHERE}.module is not set; name the class of the LightningModule")
        made = locate(module, WHERE, "module")
        if not (inspect.isclass(made) and issubclass(made, nn.Module)):
            raise UserError(f"{WHERE}.module={module} is no class of a network; expected a LightningModule")
        content = _content(Path(path))
        offered = {"channels": channels, "size": size, "class_names": tuple(class_names)}
        offered |= {"classes": len(class_names)}
        net = _built(made, arguments(made, content, offered if class_names else {}, options or {}), path)
        load_weights(net, path)
        super().__init__(
            net,
            (channels, size),
            f"classifier.path={path}",
            mean=0.0 if mean is None else mean,
            std=1.0 if std is None else std,
        )

    @staticmethod
    def find(path: str) -> Path:
        """The file."""
        return Path(path).expanduser()


def arguments(
    made: Any, content: Mapping[str, Any], offered: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of a class: what is offered, over it the checkpoint's hyperparameters, over them the options.

    Args:
        made: the class.
        content: of the checkpoint.
        offered: what the data tell.
        options: of the user.
    """
    known = inspect.signature(made).parameters
    every = any(each.kind is each.VAR_KEYWORD for each in known.values())
    held = {str(key): value for key, value in (content.get("hyper_parameters") or {}).items()}
    name = content.get("hparams_name") or "kwargs"
    if name in known and name != "kwargs" and name not in held:  # one argument that holds them all
        found: dict[str, Any] = {name: AttributeDict(held)}
    else:
        found = {
            key: value for key, value in held.items() if not key.startswith("_") and (every or key in known)
        }
    return {key: value for key, value in offered.items() if key in known} | found | dict(options)


def _content(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise UserError(f"classifier.path={path} does not exist; give a checkpoint of Lightning")
    try:
        content = load_torch(path)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        held = f"a {named[1]}" if named else "more than weights, numbers and words"
        raise UserError(
            f"classifier.path={path} needs its pickle, as it holds {held}, and nothing is unpickled; {AGAIN}"
        ) from error
    except Exception as error:
        raise UserError(
            f"classifier.path={path} is damaged or no checkpoint of Lightning ({first_line(error)}); "
            "get it anew"
        ) from error
    if not isinstance(content, Mapping) or "state_dict" not in content:
        raise UserError(
            f"classifier.path={path} has no state_dict, so it is no checkpoint of Lightning; for weights "
            "alone choose classifier=state_dict"
        )
    return content


def _built(made: Any, given: dict[str, Any], path: Path | str) -> nn.Module:
    """The module; the class is called by itself: what a file holds is never a config of what to call."""
    name = getattr(made, "__name__", str(made))
    try:
        inspect.signature(made).bind(**given)
    except TypeError as error:
        raise UserError(
            f"{WHERE}.module={name}: {error}; what the hyperparameters in {path} do not give is set by "
            f"+{WHERE}.options.NAME="
        ) from error
    try:
        net: nn.Module = made(**given)
    except Exception as error:
        raise UserError(
            f"{WHERE}.module={name} cannot be built of {', '.join(given) or 'nothing'} "
            f"({first_line(error)}); set +{WHERE}.options.NAME="
        ) from error
    return net.eval()
