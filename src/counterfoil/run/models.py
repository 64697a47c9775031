"""Makes networks from model nodes and loads trained ones, one object an address."""

from __future__ import annotations

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
from counterfoil.run.store import Store, check_manifest, digest, file_digest
from counterfoil.util.build import Node, accepted, build
from counterfoil.util.checkpoint import load_program, load_weights


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

    def fingerprint(self, node: Node) -> str:
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


def path_of(value: str | None) -> Path | None:
    """A path with ~ expanded."""
    return None if value is None else Path(value).expanduser()
