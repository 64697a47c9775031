"""Models by name or by file, as Python objects, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import hydra
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.core.errors import UserError
from counterfoil.run.config import RunConfig
from counterfoil.run.models import Models
from counterfoil.util import cli  # noqa: F401 (registers the resolvers of the configs)
from counterfoil.util.checkpoint import read_manifest
from counterfoil.util.command import configs

Role = Literal["classifier", "judge", "generative", "autoencoder"]
GROUPS: dict[Role, str] = {
    "classifier": "classifier",
    "judge": "classifier@judge",
    "generative": "generative",
    "autoencoder": "generative@autoencoder",
}
RUN = "config.yaml"
"""What a run folder holds of its config."""


def load_classifier(
    source: Path | str, *overrides: str, role: Literal["classifier", "judge"] = "classifier"
) -> Classifier:
    """A trained classifier, frozen, with its normalisation, decision and names of classes.

    Args:
        source: a run folder; or a file of weights of a store, TorchScript, torch.export or ONNX; or the
            folder of a classifier of transformers; or the name of a yaml in conf/classifier.
        overrides: as on the command line, such as "data=mnist", "data.root=FOLDER", "store=weights".
        role: which classifier of a run.

    Raises:
        UserError: it is not trained, or is nothing of the kind.
    """
    found: Classifier = _load(source, role, overrides)
    return found


def load_generator(
    source: Path | str,
    *overrides: str,
    role: Literal["generative", "autoencoder"] = "generative",
) -> nn.Module:
    """A trained generative model, frozen; arguments as of `load_classifier`, names as in conf/generative."""
    found: nn.Module = _load(source, role, overrides)
    return found


def _load(source: Path | str, role: Role, overrides: tuple[str, ...]) -> Any:
    place = Path(source).expanduser()
    if (place / RUN).is_file():
        run = RunConfig.of(_of_run(place / RUN, overrides))
    elif (place / "config.json").is_file() and role in ("classifier", "judge"):
        run = RunConfig.of(_by_path("huggingface", place, role, overrides))
    elif place.suffix == ".onnx" and role in ("classifier", "judge"):
        run = RunConfig.of(_by_path("onnx", place, role, overrides))
    elif place.is_file():
        run = RunConfig.of(_of_file(place, role, overrides))
    elif place.suffix or len(place.parts) > 1:
        raise UserError(f"{place} is neither a run folder (with {RUN}) nor a file of weights")
    else:
        run = RunConfig.of(_composed(f"{GROUPS[role]}={source}", *overrides))
    recipe = run.explained if role == "classifier" else getattr(run, role)
    if recipe is None:
        raise UserError(f"{source} has no {role}; choose one by {GROUPS[role]}=")
    return Models.of(run).share(recipe)


def _composed(*overrides: str) -> DictConfig:
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(configs())):
        return hydra.compose("evaluate", overrides=["explainer=[]", "metric=[]", *overrides])


def _of_run(file: Path, overrides: tuple[str, ...]) -> DictConfig:
    held = OmegaConf.load(file)
    return OmegaConf.merge(held, OmegaConf.from_dotlist(list(overrides)))  # type: ignore[return-value]


def _by_path(name: str, place: Path, role: Role, overrides: tuple[str, ...]) -> DictConfig:
    """A model from elsewhere, of the library that it is of unless the overrides tell another."""
    own = [] if GROUPS[role] in {part.split("=")[0] for part in overrides} else [f"{GROUPS[role]}={name}"]
    return _composed(*own, *overrides, f"{role}.path='{place.resolve()}'")


def _of_file(file: Path, role: Role, overrides: tuple[str, ...]) -> DictConfig:
    """The recipe in the manifest beside the file, on the data named there; else a network of the user's."""
    manifest = read_manifest(file)
    groups = {part.split("=")[0] for part in overrides}
    if not manifest:
        own = (
            [f"{GROUPS[role]}=custom"]
            if role in ("classifier", "judge") and GROUPS[role] not in groups
            else []
        )
        given = [*own, *overrides]
        return _composed(*given, f"{role}.checkpoint='{file.resolve()}'")
    data = manifest.get("data", {})
    known = (configs() / "data" / f"{data.get('name')}.yaml").is_file() and "data" not in groups
    config = _composed(*([f"data={data['name']}"] if known else []), *overrides)
    with open_dict(config):
        config[role] = {**manifest["node"], "checkpoint": str(file.resolve())}
    return config
