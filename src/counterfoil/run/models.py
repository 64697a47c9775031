"""The models of a config: which are needed, the command that trains one, and each network made or loaded once."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.check import count_classes
from counterfoil.core.decision import Attribute, Decision
from counterfoil.core.errors import UserError
from counterfoil.data.attributes import offered
from counterfoil.data.base import ImageData
from counterfoil.run.store import Store, check_manifest
from counterfoil.util.build import Node, accepted, build, model_nodes
from counterfoil.util.checkpoint import load_program, load_weights
from counterfoil.util.digest import digest, file_digest

GROUPS = {
    "classifier": "classifier",
    "judge": "classifier@judge",
    "generative": "generative",
    "autoencoder": "generative@autoencoder",
}
"""Keys of a config that hold a model, and the config group that fills each."""
SHARED = ("data", "seed", "attribute", "store", "experiment")
"""Options that change the address of a model, or the whole config."""


class Models:
    """Everything a config's nodes stand for: the data, and each trained network once.

    Args:
        store: where trained models live.
        data_node: the config's data.
        device: where loaded networks go.
        dtype: of loaded networks.
    """

    def __init__(
        self,
        store: Store,
        data_node: Node,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.store = store
        self.data: ImageData = build(
            {key: value for key, value in data_node.items() if key != "role"}, where="data"
        )
        self.device = torch.device(device)
        self.dtype = dtype
        self._loaded: dict[str, nn.Module] = {}

    def share(self, node: Node) -> Any:
        """The one object that a role node stands for."""
        if node["role"] == "data":
            return self.data
        key = digest(node)
        if key not in self._loaded:
            self._loaded[key] = self.load(node).to(self.device, self.dtype)
        return self._loaded[key]

    def network(self, node: Node) -> nn.Module:
        """The node's untrained network; arguments named channels, size, classes and attributes come from the data."""
        where = f"{node['role']}.net"
        if not node["net"].get("_target_"):
            given_file = (
                f" and {node['checkpoint']} is no TorchScript or torch.export file"
                if node.get("checkpoint")
                else ""
            )
            raise UserError(f"{where}._target_ is not set{given_file}; name the network's class")
        given = {
            "channels": self.data.channels,
            "size": self.data.size,
            "classes": self._outputs(node),
            "class_names": self.data.class_names,
            "attributes": offered(self.data),
        }
        recipe = {key: value for key, value in node["net"].items() if value is not None or key not in given}
        filled = accepted(recipe["_target_"], given, where)
        if "classes" in filled and not filled["classes"] and "classes" not in recipe:
            raise UserError(
                f"{where}: data={self.data.name} does not tell how many classes there are; set data.class_names to their names"
            )
        network: nn.Module = build(recipe, self.share, where, **filled)
        return network

    def load(self, node: Node) -> nn.Module:
        """The node's trained network, frozen; a classifier in its wrapper."""
        path = self.store.weights(node, self.data)
        if not path.is_file():
            raise UserError(
                f"{node['role']} {node['name']}: no weights at {path}; train it with train.py, or set its checkpoint"
            )
        net = load_program(path) if node.get("checkpoint") else None
        if net is None:
            check_manifest(path, node, self.data)
            net = self.network(node)
            load_weights(net, path)
        if node["role"] == "classifier":
            return self._classifier(net, node)
        return net.eval().requires_grad_(False)

    def weights_sha256(self, node: Node) -> str:
        """Hash of the weights that the node stands for."""
        return file_digest(self.store.weights(node, self.data))

    def _classifier(self, net: nn.Module, node: Node) -> Classifier:
        decision: Decision = build(node["decision"], where=f"{node['role']}.decision")
        multilabel = bool(node["training"].get("multilabel")) or isinstance(decision, Attribute)
        decision = decision.bind(self.data.attribute_names) if multilabel else decision
        names = decision.class_names or self.data.class_names
        classifier = Classifier(net, node["mean"], node["std"], decision, node["layers"], names or None)
        if not self.data.labelled:
            classifier.class_names = self._names_of_outputs(classifier)
        return classifier

    def _names_of_outputs(self, classifier: Classifier) -> tuple[str, ...]:
        """A name for each class where the data know of none; raises UserError where too few or too many are given."""
        number = count_classes(classifier, self.data.test[:2].x)
        names = classifier.class_names or tuple(f"class {k}" for k in range(number))
        if len(names) != number:
            raise UserError(
                f"data.class_names: {len(names)} names for {number} classes of the classifier; give one each, or null"
            )
        return names

    def _outputs(self, node: Node) -> int:
        if node["training"].get("multilabel"):
            return len(self.data.attribute_names)
        return len(self.data.class_names)


def resolve_device(name: str) -> torch.device:
    """A device by name; auto takes CUDA where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(
            f"device={name}: this machine has no usable CUDA device; choose device=cpu or device=auto"
        )
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device={name} is not a device; choose auto, cpu or cuda") from error


def needed_for_training(config: Node) -> list[tuple[str, Node]]:
    """Every model that the config names, dependencies first."""
    named = {key: config[key] for key in (*GROUPS, "explainer", "metric") if config.get(key)}
    return _distinct(model_nodes(named), config)


def needed_for_evaluation(config: Node) -> list[tuple[str, Node]]:
    """The models that explaining and scoring use: classifier and judge, what the metrics refer to, and the methods where they search."""
    used = {key: config[key] for key in ("judge", "metric") if config.get(key)}
    return _distinct([*needed_for_counterfactuals(config), *model_nodes(used)], config)


def needed_for_counterfactuals(config: Node) -> list[tuple[str, Node]]:
    """The models that the counterfactuals depend on: the classifier, and those of the methods where they search."""
    searching = () if config.get("counterfactuals") else ("explainer",)
    used = {key: config[key] for key in ("classifier", *searching) if config.get(key)}
    return _distinct(model_nodes(used), config)


def missing(nodes: Sequence[tuple[str, Node]], models: Models) -> list[tuple[str, Node]]:
    """Those of the models that are not trained yet."""
    return [(path, node) for path, node in nodes if not models.store.has(node, models.data)]


def train_command(
    path: str, node: Node, choices: Mapping[str, str], overrides: Sequence[str], folders: Sequence[Path] = ()
) -> str:
    """The train.py command that makes the model at `path`, from this run's choices, overrides and folders of further configs."""
    flags = [f"--config-dir={folder}" for folder in folders]
    if path not in GROUPS:
        return shlex.join(["python", "evaluate.py", *flags, *overrides, "train_missing=true"])
    shared = [part for part in overrides if part.split("=")[0].split(".")[0].lstrip("+~") in SHARED]
    own = [part for part in overrides if part.split("=")[0].lstrip("+~").startswith(f"{path}.")]
    return shlex.join(
        [
            "python",
            "train.py",
            *flags,
            *shared,
            f"{GROUPS[path]}={choices.get(GROUPS[path], node['name'])}",
            *own,
        ]
    )


def how_to_do_without(path: str) -> str:
    """What to set where the model at `path` is not there and cannot be trained."""
    if path == "judge":
        return "judge=null, or judge.checkpoint=FILE"
    if path == "classifier":
        return "classifier=custom classifier.checkpoint=FILE"
    return f"{path}.checkpoint=FILE, or choose methods that need no trained model, such as explainer=disc"


def _distinct(nodes: Iterable[tuple[str, Node]], config: Node) -> list[tuple[str, Node]]:
    """Each model once, called by its group where the config has it as one."""
    kept: list[tuple[str, Node]] = []
    for path, node in nodes:
        if all(node != other for _, other in kept):
            kept.append((next((key for key in GROUPS if config.get(key) == node), path), node))
    return kept


def torch_type(name: str) -> torch.dtype:
    """A precision by name."""
    if name not in ("float32", "float64"):
        raise UserError(f"dtype={name} is not supported; choose one of float32 or float64")
    return torch.float32 if name == "float32" else torch.float64
