"""Where trained models live: addressed by data, name and the hash of everything that made them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData
from counterfoil.util.build import Node


@dataclass(frozen=True)
class Store:
    """A folder of models: <data>-<role>-<name>-<hash>.safetensors, each with its manifest beside it as .json."""

    root: Path

    def address(self, node: Node, data: ImageData) -> Path:
        """The file of weights that this node trains on these data."""
        return self.root / f"{data.name}-{node['role']}-{node['name']}-{recipe_hash(node, data)}.safetensors"

    def weights(self, node: Node, data: ImageData) -> Path:
        """The file of weights: given by `checkpoint`, else at the address."""
        return Path(node["checkpoint"]).expanduser() if node.get("checkpoint") else self.address(node, data)

    def has(self, node: Node, data: ImageData) -> bool:
        """Whether the model is there, or its weights are the user's affair."""
        return bool(node.get("checkpoint")) or self.address(node, data).is_file()

    def manifest(self, node: Node, data: ImageData) -> dict[str, Any]:
        """What was noted at training; empty for weights from elsewhere."""
        path = self.address(node, data).with_suffix(".json")
        if node.get("checkpoint") or not path.is_file():
            return {}
        noted: dict[str, Any] = json.loads(path.read_text())
        return noted


def check_manifest(path: Path, node: Node, data: ImageData) -> None:
    """Hold a file of weights against the manifest beside it, where there is one.

    The shapes of the weights do not tell everything: a network pads its images, and an option may change what the same weights do.

    Raises:
        UserError: images of another shape, or another value of an option of the network.
    """
    manifest = path.with_suffix(".json")
    noted: dict[str, Any] = (
        json.loads(manifest.read_text()) if path.suffix == ".safetensors" and manifest.is_file() else {}
    )
    shape, trained = [data.channels, data.size, data.size], noted.get("images")
    if trained and trained != shape:
        raise UserError(
            f"{node['role']} {node['name']}: {path} was trained on images of shape {tuple(trained)} (channels, height, width), "
            f"data={data.name} has {tuple(shape)}; train one on these data, or choose another checkpoint"
        )
    net = noted.get("node", {}).get("net", {})
    for option, value in node["net"].items():
        if None not in (value, net.get(option)) and value != net[option]:
            raise UserError(
                f"{node['role']} {node['name']}: {path} was trained with net.{option}={net[option]}, the config has {value}; "
                "set the one that the file has, or choose another checkpoint"
            )


def recipe_hash(node: Node, data: ImageData) -> str:
    """Ten hex digits over all that makes a model: its node, and the data it sees."""
    seen = data.identity if node.get("labels", True) else data.images_identity
    return digest({"node": _made_by(node), "data": seen})


def digest(value: Any, digits: int = 10) -> str:
    """The first hex digits of the SHA-256 of a value as canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:digits]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    if not path.is_file():
        raise UserError(
            f"checkpoint {path} does not exist; check the path, or leave the option out and train the model with train.py"
        )
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else _slow_digest(path)
        )


def _slow_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _made_by(node: Any, inner: bool = False) -> Any:
    """The node without what only concerns reading; a model trained against another one sees that one's decision and weights."""
    if isinstance(node, dict):
        given = ("checkpoint",) if "role" in node and not node.get("checkpoint") else ()
        read = () if "role" not in node else ("layers",) if inner else ("layers", "decision")
        return {key: _made_by(value, True) for key, value in node.items() if key not in (*given, *read)}
    if isinstance(node, list):
        return [_made_by(value, True) for value in node]
    return node
