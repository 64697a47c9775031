"""Which of the chosen metrics can be taken: without a judge, or without labels, some cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData


def settle_judge(config: DictConfig) -> DictConfig:
    """The config with judge=null where it names no judge, however that was said."""
    if "role" in (config.get("judge") or {}):
        return config
    settled = config.copy()
    with open_dict(settled):
        settled.judge = None
    return settled


def measurable(config: DictConfig, data: ImageData, overrides: Sequence[str]) -> list[str]:
    """Names of the metrics that can be taken; one line is printed about those left out.

    Raises:
        UserError: a metric that cannot be taken was requested by name, with metric=.
    """
    chosen = OmegaConf.to_container(config.metric, resolve=False) if config.get("metric") else {}
    assert isinstance(chosen, dict)
    why = {name: _lacks(recipe, config, data) for name, recipe in chosen.items()}
    barred = {str(name): reason for name, reason in why.items() if reason}
    if barred and any(part.split("=")[0].lstrip("+") == "metric" for part in overrides):
        name, (what, fix) = next(iter(barred.items()))
        raise UserError(f"metric={name} needs {what}; {fix}, or leave it out of metric=")
    if barred:
        _tell(barred)
    return [str(name) for name in chosen if name not in barred]


def _lacks(recipe: Any, config: DictConfig, data: ImageData) -> tuple[str, str] | None:
    """What a metric needs and does not get, and the fix; None where it has all."""
    asked = {reference.split(".")[0] for reference in _references(recipe)}
    if "judge" in asked and config.judge is None:
        return "a judge, found judge=null", "choose one, such as classifier@judge=resnet"
    if data.labelled:
        return None
    if "data" in asked:
        return f"other images or labels, data={data.name} has the queries alone", "choose data=folder"
    if "autoencoder" in asked and not (config.get("autoencoder") or {}).get("checkpoint"):
        return (
            f"auto-encoders of the classes, which data={data.name} cannot train",
            "choose data=folder, or set autoencoder.checkpoint=",
        )
    return None


def _references(node: Any) -> Iterator[str]:
    """What the interpolations below an unresolved node refer to."""
    if isinstance(node, Mapping | list):
        for child in node.values() if isinstance(node, Mapping) else node:
            yield from _references(child)
    elif isinstance(node, str):
        yield from (part.split("}")[0] for part in node.split("${")[1:])


def _tell(barred: Mapping[str, tuple[str, str]]) -> None:
    from rich import print

    reasons = dict.fromkeys(what for what, _ in barred.values())
    told = "; ".join(
        f"{', '.join(name for name, (what, _) in barred.items() if what == reason)}: needs {reason}"
        for reason in reasons
    )
    print(f"[yellow]warning:[/yellow] metrics left out: {told}")
