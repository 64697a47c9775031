"""What a composed config says: its plain options checked, and what makes two runs the same run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from counterfoil.core.errors import UserError
from counterfoil.util.digest import digest, file_digest

LEAST = {"n": 1, "count": 1, "batch_size": 1, "threads": 1}
"""Options that are whole numbers, and the smallest value of each."""


def check_options(node: Mapping[str, Any]) -> None:
    """Refuse numbers that are none, or out of range; `threads` may be null."""
    for name, least in LEAST.items():
        value = node.get(name)
        if value is None and name == "threads":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"{name}={value}: expected a whole number of at least {least}")
    if not isinstance(node["seed"], int):
        raise UserError(f"seed={node['seed']}: expected a whole number")
    confidence = node["confidence"]
    if not isinstance(confidence, int | float) or not 0 < confidence <= 1:
        raise UserError(
            f"confidence={confidence} is not a probability to reach; choose a value in (0, 1], such as 0.9"
        )


def chosen(explainers: Mapping[str, Any]) -> dict[str, Any]:
    """The methods of a config; what an experiment sets for one that `explainer=` did not choose is no method."""
    return {
        name: node for name, node in explainers.items() if not isinstance(node, Mapping) or "_target_" in node
    }


INCIDENTAL = ("run_dir", "logger", "trainer", "threads", "overwrite", "train_missing", "metric")
"""Options that do not change what a run explains."""
FILES = ("queries", "mask")
"""Options that name a file, whose content is what counts."""


def run_identity(node: Mapping[str, Any]) -> str:
    """What a run explains, in ten hex digits: its options, with the content of the files that they name."""
    asked = {key: value for key, value in node.items() if key not in INCIDENTAL}
    return digest(
        asked | {key: content(Path(str(asked[key])).expanduser()) for key in FILES if asked.get(key)}
    )


def content(path: Path) -> str:
    """SHA-256 of a file, or of the files in a folder with their names; the path itself where there is none, for its reader to refuse."""
    if path.is_file():
        return file_digest(path)
    if path.is_dir():
        return digest(
            [(file.name, file_digest(file)) for file in sorted(path.iterdir()) if file.is_file()], digits=64
        )
    return str(path)


def settle_judge(config: DictConfig) -> DictConfig:
    """The config with judge=null where it names no judge, however that was said."""
    if "role" in (config.get("judge") or {}):
        return config
    settled = config.copy()
    with open_dict(settled):
        settled.judge = None
    return settled
