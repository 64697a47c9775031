"""Where trained models live: a folder of weights under their addresses, each with its manifest beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.core.whole import ENDING, whole
from counterfoil.data.base import ImageData
from counterfoil.run.address import Seen, differences, recipe, stem
from counterfoil.run.config import ModelRecipe
from counterfoil.util.checkpoint import read_manifest
from counterfoil.util.digest import file_digest
from counterfoil.util.disk import refuse_full
from counterfoil.util.lock import InUse, locked
from counterfoil.util.record import read_json, write_json
from counterfoil.util.resuming import BEFORE, LAST


@dataclass(frozen=True)
class Store:
    """A folder of models: <data>-<role>-<name>-<hash>.safetensors, each with its manifest as .json.

    Args:
        root: the folder.
        trainer: `departures` of the trainer of those that are trained.
        older: whether weights of trainings that noted no trainer serve where only the precision departs.
    """

    root: Path
    trainer: Mapping[str, Any] = field(default_factory=dict)
    older: bool = True

    def seen(self, data: ImageData) -> Seen:
        """What a model of this store sees beside its recipe."""
        return Seen.of(data, trainer=self.trainer, older=self._older)

    def address(self, model: ModelRecipe, data: ImageData) -> Path:
        """The file of weights that a recipe trains on these data; see `counterfoil.run.address`."""
        return self.root / f"{stem(model.as_dict(), self.seen(data))}.safetensors"

    def weights(self, model: ModelRecipe, data: ImageData) -> Path:
        """The file of weights: given by `checkpoint`, else at the address."""
        return Path(model.checkpoint).expanduser() if model.checkpoint else self.address(model, data)

    def has(self, model: ModelRecipe, data: ImageData) -> bool:
        """Whether the model is there, or its weights are the user's affair."""
        return bool(model.checkpoint) or self.address(model, data).is_file()

    def manifest(self, model: ModelRecipe, data: ImageData) -> dict[str, Any]:
        """What was noted at training; empty for weights from elsewhere."""
        return {} if model.checkpoint else read_manifest(self.address(model, data))

    def _older(self, exact: str, plain: str) -> bool:
        file = self.root / f"{plain}.safetensors"
        found = self.older and file.is_file() and not (self.root / f"{exact}.safetensors").is_file()
        return found and "trainer" not in read_manifest(file)


@dataclass(frozen=True)
class Place:
    """One model of a store: its weights and manifest, and beside them the folder of its training.

    Attributes:
        file: of the weights.
    """

    file: Path

    @property
    def work(self) -> Path:
        """The folder of the training: checkpoints, then weights and manifest before they are moved out."""
        return self.file.with_suffix(ENDING)

    @property
    def manifest(self) -> Path:
        """The file beside the weights."""
        return self.file.with_suffix(".json")

    @property
    def lock(self) -> Path:
        """Held by whoever trains the model."""
        return self.file.with_suffix(".lock")

    def done(self, go_on: bool) -> bool:
        """Whether the model is there; not where it is being replaced, if that is to go on."""
        return self.file.is_file() and not (go_on and self._cut_off)

    @property
    def _cut_off(self) -> bool:
        return any((self.work / name).is_file() for name in (LAST, BEFORE))

    @contextmanager
    def claimed(self, what: str) -> Iterator[None]:
        """Be the one process that trains the model; wait for another that does. No empty store is left.

        Args:
            what: name of the model.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.lock, wait_for=f"trains {what} in {self.file.parent}"):
                yield
        finally:
            with suppress(OSError):
                self.file.parent.rmdir()

    def needs(self, size: int, what: object) -> None:
        """Refuse a training whose weights and two checkpoints do not fit on the disk.

        Args:
            size: bytes of the weights.
            what: the model.
        """
        refuse_full(self.work, 3 * size, f"weights and checkpoints of {what}")

    def keep(self, weights: Mapping[str, Tensor], noted: Mapping[str, Any]) -> dict[str, Any]:
        """Write weights and manifest; returns the manifest.

        Both are whole in the folder of the training before the checkpoints go, and only then moved out.
        """
        made = self.work / self.file.name
        with whole(made) as partial:
            save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, partial)
        manifest = {**noted, "sha256": file_digest(made)}
        write_json(self.work / self.manifest.name, manifest)
        for name in (LAST, BEFORE):
            (self.work / name).unlink(missing_ok=True)
        self._move_out()
        return manifest

    def settle(self) -> None:
        """Move out a model whose training was killed between the two moves; remove what the dead left."""
        if self.work.is_dir() or self.lock.is_file():
            with suppress(InUse, OSError), locked(self.lock):
                if (self.work / self.file.name).is_file():
                    self._move_out()
                if not self._cut_off:
                    shutil.rmtree(self.work, ignore_errors=True)

    def _move_out(self) -> None:
        """The manifest first: weights at their place have one."""
        made, noted = self.work / self.file.name, self.work / self.manifest.name
        known = next((path for path in (noted, self.manifest) if path.is_file()), None)
        if known is None or read_json(known, "manifest").get("sha256") != file_digest(made):
            return  # killed before both were whole; the checkpoints are still there
        if known is noted:
            noted.replace(self.manifest)
        made.replace(self.file)
        shutil.rmtree(self.work, ignore_errors=True)


def made_by(model: ModelRecipe, data: ImageData, seen: Seen | None = None) -> dict[str, Any]:
    """What a manifest notes of a model's making: node, recipe with all defaults, data and trainer."""
    seen = seen or Seen.of(data)
    return {
        "node": model.as_dict(),
        "recipe": recipe(model.as_dict(), seen, whole=True),
        "data": data.identity,
        "trainer": dict(seen.trainer),
        "images": list(data.input_shape),
        **({"tokens": tokens} if (tokens := _tokens(data)) else {}),
    }


def check_manifest(path: Path, model: ModelRecipe, data: ImageData, seen: Seen | None = None) -> None:
    """Hold a file of weights against the manifest beside it, where there is one.

    Neither the shapes of the weights nor their address tell everything: a network pads its images, and a
    default may have changed since the training. Options that the manifest does not know do not count.
    Weights given by `checkpoint` may have been trained otherwise: only the network's own options and
    the normalisation count.

    Raises:
        UserError: images of another shape, texts of another vocabulary, or another value of an option.
    """
    noted = read_manifest(path)
    what = f"{model}: {path}"
    shape, trained = list(data.input_shape), noted.get("images")
    if trained and trained != shape:
        raise UserError(
            f"{what} was trained on images of shape {tuple(trained)} (channels, height, width), "
            f"data={data.name} has {tuple(shape)}; train one on these data, or choose another checkpoint"
        )
    if noted.get("tokens", _tokens(data)) != _tokens(data):
        raise UserError(
            f"{what} was trained with another vocabulary than that of data={data.name}; train one on these "
            "texts, or choose another checkpoint"
        )
    given = bool(model.checkpoint)
    then = noted.get("recipe") or noted.get("node") or {}
    now = recipe(model.as_dict(), seen or Seen.of(data), whole=True)
    for option, before, today in differences(_read(then) if given else then, _read(now) if given else now):
        raise UserError(
            f"{what} was trained with {option}={before}, the config has {today}; "
            + (
                "set the one that the file has, or choose another checkpoint"
                if given
                else f"run python -m counterfoil.run.readdress {path.parent} to keep these weights under "
                "that value, or train anew with overwrite=true"
            )
        )


def _tokens(data: ImageData) -> list[str]:
    """The vocabulary of texts; [] of images."""
    return list(getattr(data.domain, "tokens", ()))


def _read(recipe: dict[str, Any]) -> dict[str, Any]:
    """The network's own options and the normalisation, whatever its class is called."""
    net = {
        key: value for key, value in recipe.get("net", {}).items() if key != "_target_" and value is not None
    }
    return {"net": net, **{key: recipe[key] for key in ("mean", "std") if recipe.get(key) is not None}}
