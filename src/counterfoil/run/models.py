"""The models of a config: those it needs, the command that trains one, each network made or loaded once."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from counterfoil.audit.options import options_of
from counterfoil.classifier.base import Classifier
from counterfoil.classifier.check import count_classes
from counterfoil.classifier.order import columns as matched
from counterfoil.classifier.order import common, listed, own_names, unlike
from counterfoil.core.bounds import checked, parameters
from counterfoil.core.decision import Attribute, Classes, Decision
from counterfoil.core.errors import UserError
from counterfoil.data.attributes import offered
from counterfoil.data.base import ImageData
from counterfoil.run.address import FROM_DATA, departures, plain
from counterfoil.run.address import recipe as recipe_of
from counterfoil.run.config import MODELS, DataRecipe, ModelRecipe, RunConfig
from counterfoil.run.store import Store, check_manifest
from counterfoil.search import lowers
from counterfoil.util.build import accepted, build, check, locate
from counterfoil.util.checkpoint import load_weights
from counterfoil.util.command import called, named
from counterfoil.util.digest import digest, file_digest, folder_digest
from counterfoil.util.finite import refuse_broken
from counterfoil.util.program import load_program

log = logging.getLogger("counterfoil")

SHARED = ("data", "seed", "attribute", "store", "trainer", "experiment")
"""Options that change the address of a model, or the whole config."""
NOT_LOGITS = ("role", "name", "seed", "labels", "net", "training", "checkpoint", "layers")
"""Options of a classifier that its logits do not follow, or that `Models.logits_of` tells otherwise."""
DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""Precisions by name."""


class Models:
    """Everything that recipes stand for: the data, and each trained network once.

    Args:
        store: where trained models live.
        data: the data set.
        device: where loaded networks go.
        dtype: of loaded networks.
    """

    def __init__(
        self,
        store: Store,
        data: DataRecipe,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.store = store
        self.data_recipe = data
        self.data: ImageData = build(data.options, where="data")
        self.device = torch.device(device)
        self.dtype = dtype
        self._loaded: dict[str, nn.Module] = {}
        self._hashed: dict[Path, tuple[str, Any]] = {}

    @classmethod
    def of(cls, config: RunConfig) -> Models:
        """The models of a run, on its device and in its precision.

        Raises:
            UserError: a device or precision that there is not, an option that does not exist or whose value
                is not right.
        """
        check_options(config)
        if config.dtype not in DTYPES:
            raise UserError(f"dtype={config.dtype} is not supported; choose one of {' or '.join(DTYPES)}")
        device, dtype = resolve_device(config.device), DTYPES[config.dtype]
        lowers(config.precision, device, dtype)
        return cls(Store(config.store, departures(config.trainer)), config.data, device, dtype)

    def share(self, recipe: DataRecipe | ModelRecipe) -> Any:
        """The one object that a recipe stands for."""
        if isinstance(recipe, DataRecipe):
            return self.data
        key = digest(recipe.as_dict())
        if key not in self._loaded:
            self._loaded[key] = self.load(recipe).to(self.device, self.dtype)
        return self._loaded[key]

    def forget(self) -> None:
        """Read models anew from here on, as a training moves those inside its network to its own layout."""
        self._loaded.clear()

    def network(self, recipe: ModelRecipe, path: Path | None = None) -> nn.Module:
        """The untrained network; the data give arguments named as in `FROM_DATA`.

        Args:
            recipe: the model.
            path: of a network that reads its own weights, see `reads_itself`, which is given this and the
                normalisation of the recipe as well.
        """
        where = f"{recipe.role}.net"
        if not recipe.net.get("_target_"):
            file = recipe.checkpoint
            given = f" and {file} is no TorchScript or torch.export file" if file else ""
            raise UserError(f"{where}._target_ is not set{given}; name the network's class")
        from_data = {
            "channels": self.data.channels,
            "size": self.data.size,
            "length": self.data.input_shape[1],  # of a text, whose rows are its tokens
            "tokens": self.data.input_shape[2],
            "words": getattr(self.data.domain, "tokens", ()),
            "classes": len(self.data.attribute_names if recipe.multilabel else self.data.class_names),
            "class_names": self.data.class_names,
            "attributes": offered(self.data),
        }
        if path is not None:
            from_data |= {"path": path, "mean": recipe.mean, "std": recipe.std}
        own = {key: value for key, value in recipe.net.items() if value is not None or key not in from_data}
        filled = accepted(own["_target_"], from_data, where)
        if "classes" in filled and not filled["classes"] and "classes" not in own:
            raise UserError(
                f"{where}: data={self.data.name} does not tell how many classes there are; "
                "set data.class_names to their names"
            )
        network: nn.Module = build(own, self.share, where, **filled)
        return network

    def load(self, recipe: ModelRecipe) -> nn.Module:
        """The trained network, frozen; a classifier in its wrapper."""
        net = self._read(recipe, self.weights(recipe))
        if recipe.role == "classifier":
            made = self.classifier(net, recipe)
            made.given = bool(recipe.checkpoint)
            return made
        return net.eval().requires_grad_(False)

    def weights(self, recipe: ModelRecipe) -> Path:
        """The file or folder of weights: the store's, or what `checkpoint` names, by name on a hub too."""
        find = getattr(_target(recipe), "find", None)
        if recipe.checkpoint and find is not None:
            found: Path = find(recipe.checkpoint)
            return found
        return self.store.weights(recipe, self.data)

    def _read(self, recipe: ModelRecipe, path: Path) -> nn.Module:
        """The network with its weights."""
        if reads_itself(recipe):
            return self.network(recipe, path)
        if path.is_dir():
            return self._from_folder(recipe, path)
        if not path.is_file() and recipe.checkpoint:
            raise UserError(f"{recipe}: checkpoint {path} does not exist; check the path, or leave it out")
        if not path.is_file():
            raise UserError(
                f"{recipe}: no weights at {path}; train it with {named('train')}, or set its checkpoint"
            )
        net = load_program(path) if recipe.checkpoint else None
        if net is not None:
            refuse_broken(net, f"checkpoint {path}", "its training diverged: export another one")
            return net
        check_manifest(path, recipe, self.data, self.store.seen(self.data))
        net = self.network(recipe)
        load_weights(net, path, recipe.prefix)
        return net

    def _from_folder(self, recipe: ModelRecipe, folder: Path) -> nn.Module:
        """What the network's class reads from a folder of another library."""
        read = getattr(_target(recipe), "from_folder", None)
        if read is None:
            raise UserError(
                f"{recipe}: checkpoint {folder} is a folder; expected a file of weights (a pipeline's folder "
                "is read by generative=diffusers, a classifier's by classifier=huggingface)"
            )
        net: nn.Module = read(folder, self.data.channels, self.data.size)
        return net

    def weights_sha256(self, recipe: ModelRecipe) -> str:
        """Hash of the weights that a recipe stands for."""
        return self._sha256(self.weights(recipe))

    def logits_of(self, recipe: ModelRecipe) -> dict[str, Any]:
        """All that makes the logits of a classifier: weights, network, normalisation, decision and such."""
        told = {key: plain(value) for key, value in recipe.as_dict().items() if key not in NOT_LOGITS}
        net = recipe_of(recipe.as_dict(), self.store.seen(self.data), whole=True)["net"]
        return {**told, "net": net, "multilabel": recipe.multilabel, "weights": self.weights_sha256(recipe)}

    def hashes(self, recipes: Mapping[str, ModelRecipe]) -> dict[str, str]:
        """Hash of the weights of each recipe by the name of their file."""
        files = {self.weights(recipe) for recipe in recipes.values()}
        return {path.name: self._sha256(path) for path in sorted(files)}

    def _sha256(self, path: Path) -> str:
        """Hash of a file, which is read again only where another has taken its place or its size or times."""
        if path.is_dir():
            return folder_digest(path)
        status = path.stat() if path.is_file() else None
        stamp = status and (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if stamp is None or self._hashed.get(path, ("", None))[1] != stamp:
            self._hashed[path] = (file_digest(path), stamp)
        return self._hashed[path][0]

    def classifier(self, net: nn.Module, recipe: ModelRecipe) -> Classifier:
        """A network as the classifier of a recipe: with its normalisation, decision and names of classes."""
        decision: Decision = build(recipe.decision, where=f"{recipe.role}.decision") or Classes()
        named = recipe.class_names or own_names(net) or ()
        by_output = isinstance(decision, Attribute) and decision.among(named)
        decision = decision.bind(named if by_output else self.data.attribute_names)
        own = getattr(net, "normalises", False)  # by itself, see `counterfoil.classifier.adapted`
        mean = 0.0 if own or recipe.mean is None else recipe.mean
        std = 1.0 if own or recipe.std is None else recipe.std
        names, order, columns = (
            (decision.class_names, None, None) if by_output else self._order(net, recipe, decision)
        )
        made = Classifier(
            net, mean, std, decision, recipe.layers, names or None, recipe.output, order, columns
        )
        made.domain = self.data.domain
        if not self.data.labelled:
            made.class_names = self._names_of_outputs(made)
        return made

    def _order(
        self, net: nn.Module, recipe: ModelRecipe, decision: Decision
    ) -> tuple[tuple[str, ...], list[int] | None, int | None]:
        """Names of the classes, the output of each, and how many outputs there are; None: as they come.

        The names of the outputs are those given, else those that the network itself has.
        """
        classes, given = self.data.class_names, recipe.class_names
        if given is None:
            if decision.class_names:
                return decision.class_names, None, None
            given = own_names(net)
            if given is None or (classes and not common(given, classes)):
                if given is not None:
                    told = f"{listed(given)}; the data have {listed(classes)}"
                    log.info(f"{recipe}: the network calls its outputs {told}: taken in this order")
                return classes, None, None
        if not classes:
            return unlike(given), None, len(given)
        order = matched(given, classes, f"{recipe.role}.class_names")
        if order == list(range(len(given))):
            return classes, None, len(given)
        left = len(given) - len(order)
        more = f"; its {left} other outputs are left out of the softmax" if left else ""
        log.info(f"{recipe}: by name, {listed(classes)} are its outputs {listed(order)}{more}")
        return classes, order, len(given)

    def _names_of_outputs(self, classifier: Classifier) -> tuple[str, ...]:
        """A name for each class where the data know of none; raises UserError for too few or too many."""
        x = self.data.test[:2].x
        number = count_classes(classifier, x)
        names = classifier.class_names or tuple(f"class {k}" for k in range(number))
        if len(names) != number:
            raise UserError(
                f"data.class_names: {len(names)} names for {number} classes of the classifier; "
                "give one each, or null"
            )
        if not classifier.class_names and type(classifier.decision) is Classes:
            with torch.no_grad():
                alone = classifier.outputs(x).shape[1] == 1
            if alone:
                raise UserError(
                    "classifier: puts out one number per image; say what it is: data.class_names=[A,B] where "
                    "it is the logit of B, decision=sigmoid, or decision=threshold classifier.decision.value="
                )
        return names


def reads_itself(recipe: ModelRecipe) -> bool:
    """Whether a network is made of the file or folder of its weights, and never trained: it has a `path`."""
    target = _target(recipe)
    return hasattr(target, "find") and "path" in parameters(target)


def _target(recipe: ModelRecipe) -> Any:
    """The class of the network; None where none is named."""
    target = recipe.net.get("_target_")
    return locate(target, f"{recipe.role}.net") if target else None


def check_options(config: RunConfig) -> None:
    """Hold every option of a run against what its part takes, before anything is loaded or trained."""
    check(config.data.options, "data")
    for group in ("trainer", "logger", "corruption", "refine", "explainer"):
        check(getattr(config, group), group)
    options_of(config.audit)
    for name, metric in config.metric.items():
        check(metric.options, f"metric.{name}")
    for path, recipe in needed_for_training(config).items():
        check(recipe.net, f"{path}.net", FROM_DATA)
        check(recipe.decision, f"{path}.decision")
        if recipe.training.get("_target_"):  # what it does not have is told with a remedy where it trains
            checked(locate(recipe.training["_target_"], path), recipe.training, f"{path}.training.")


def resolve_device(name: str) -> torch.device:
    """A device by name; auto takes CUDA where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device={name} is not a device; choose auto, cpu or cuda") from error
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        number = torch.cuda.device_count()
        found = f"{number} CUDA device(s), cuda:0 to cuda:{number - 1}" if number else "no usable CUDA device"
        raise UserError(
            f"device={name} cannot be used: this machine has {found}; choose device=cpu or device=auto"
        ) from error
    return device


def needed_for_training(config: RunConfig) -> dict[str, ModelRecipe]:
    """Every model that the config names by its path, dependencies first."""
    return config.models(*MODELS, "explainer", "metric")


def needed_for_evaluation(config: RunConfig) -> dict[str, ModelRecipe]:
    """Classifier, judge, and what the metrics and, where they search, the methods refer to."""
    return config.models(*_explaining(config), "judge", "metric")


def needed_for_counterfactuals(config: RunConfig) -> dict[str, ModelRecipe]:
    """The models that the counterfactuals depend on: the classifier and, where they search, the methods'."""
    return config.models(*_explaining(config))


def _explaining(config: RunConfig) -> tuple[str, ...]:
    return ("classifier",) if config.counterfactuals else ("classifier", "explainer")


def missing(recipes: Mapping[str, ModelRecipe], models: Models) -> dict[str, ModelRecipe]:
    """Those of the models that are not trained yet."""
    return {path: recipe for path, recipe in recipes.items() if not models.store.has(recipe, models.data)}


def train_command(
    path: str,
    recipe: ModelRecipe,
    choices: Mapping[str, str],
    overrides: Sequence[str],
    folders: Sequence[Path] = (),
) -> str:
    """The command that makes the model at `path`.

    Args:
        path: of the model in the config.
        recipe: the model.
        choices: this run's choice in each config group.
        overrides: of this run.
        folders: further folders of configs.
    """
    flags = [f"--config-dir={folder}" for folder in folders]
    if path not in MODELS or choices.get("study"):
        return shlex.join([*called("evaluate"), *flags, *overrides, "train_missing=true"])
    shared = [part for part in overrides if part.split("=")[0].split(".")[0].lstrip("+~") in SHARED]
    own = [part for part in overrides if part.split("=")[0].lstrip("+~").startswith(f"{path}.")]
    group = MODELS[path]
    chosen = f"{group}={choices.get(group, recipe.name)}"
    return shlex.join([*called("train"), *flags, *shared, chosen, *own])


def how_to_do_without(path: str) -> str:
    """What to set where the model at `path` is not there and cannot be trained."""
    if path == "judge":
        return "judge=null, or judge.checkpoint=FILE"
    if path == "classifier":
        return "classifier=custom classifier.checkpoint=FILE"
    return f"{path}.checkpoint=FILE, or choose methods that need no trained model, such as explainer=disc"
