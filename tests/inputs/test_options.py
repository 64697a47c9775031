"""Odd values of options: each number is checked where it enters, from a config and in Python."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from counterfoil import CNN
from counterfoil.core.bounds import Bounds, checked, declared_numbers
from counterfoil.core.errors import UserError
from counterfoil.run.config import RunConfig
from counterfoil.run.models import check_options, resolve_device
from counterfoil.run.train import lightning_trainer
from counterfoil.util.build import build
from counterfoil.util.cli import explain_error
from tests.inputs.case import At, Case, cases, tells

TINY = CNN(classes=10, width=4, stages=2)
ROOT = Path(__file__).parents[2]
NAMES = re.compile(r"_target_: ?([\w.]+)")
PACKAGES = ("core", "data", "classifier", "generative", "search", "explainer", "metric")
ANY_NUMBER = {
    "mean": "a normalisation may have any mean",
    "margin": "of logits or distances",
    "psnr": "decibels; 0 and below end a fit at once",
    "value": "a threshold in the unit of a regression",
    "index": "a column, counted in the network's outputs",
    "above": "a bound of posteriors, infinite where there is none",
    "below": "a bound of posteriors, infinite where there is none",
    "targets": "classes by name or number, looked up",
    "towards": "a class by name or number, looked up",
    "classes": "by name or number, looked up",
    "order": "of a norm",
    "output": "of a network with several, by its key or place",
    "columns": "of the outputs of a network",
}
"""Options without bounds of their own, and why any finite number is right."""


def options() -> Iterator[tuple[type, str]]:
    """Every public class of the package and each option of it that is a number."""
    for path in sorted((ROOT / "src" / "counterfoil").glob("*/**/*.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        if parts[1] in PACKAGES and path.stem != "__init__":
            module = importlib.import_module(".".join(parts))
            for name, cls in vars(module).items():
                own = inspect.isclass(cls) and cls.__module__ == module.__name__ and not name.startswith("_")
                if own and "__init__" in vars(cls) and hasattr(vars(cls)["__init__"], "__wrapped__"):
                    yield from ((cls, option) for option in declared_numbers(cls))


def targets() -> list[str]:
    """Every class or function of ours that a config names."""
    named = {name for file in (ROOT / "conf").rglob("*.yaml") for name in NAMES.findall(file.read_text())}
    return sorted(name for name in named if name.startswith("counterfoil.") and ".report." not in name)


def wrong(bounds: Bounds | None, also: set[type]) -> list[Any]:
    """Values that no number option takes, and those out of its bounds; `also` are kinds that it takes too."""
    kinds = [value for value in ("abc", True) if type(value) not in also]
    out = [value for value in (-1, 10**12, 0) if bounds is not None and not bounds.hold(value)]
    return [math.nan, math.inf, {"a": 1}, *kinds, *out]


def test_there_is_something_to_check() -> None:
    assert len(list(options())) > 150
    assert len(targets()) > 60


@pytest.mark.parametrize("target", targets())
def test_every_number_of_a_config_is_checked(target: str) -> None:
    module, _, name = target.rpartition(".")
    made = getattr(importlib.import_module(module), name)
    for option, (bounds, also) in declared_numbers(made).items():
        assert bounds is not None or option in ANY_NUMBER, f"{target}: {option} declares no bounds"
        for value in wrong(bounds, also):
            with pytest.raises(UserError) as refusal:
                build({"_target_": target, option: value}, where="part")
            tells(str(refusal.value), [f"part.{option}=", "expected "])


@pytest.mark.parametrize(("cls", "option"), list(options()), ids=lambda each: getattr(each, "__name__", each))
def test_every_number_is_checked_in_python(cls: Any, option: str) -> None:
    bounds, also = declared_numbers(cls)[option]
    assert bounds is not None or option in ANY_NUMBER, f"{cls.__name__}: {option} declares no bounds"
    init = vars(cls)["__init__"]
    needed = [
        name
        for name, parameter in list(inspect.signature(init).parameters.items())[1:]
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    ]
    if option in inspect.signature(init).parameters:
        for value in wrong(bounds, also):
            given = {name: right(init, name) for name in needed} | {option: value}
            with pytest.raises(UserError, match=rf"^SimpleNamespace: {option}.*expected "):
                init(SimpleNamespace(), **given)


BASE = (
    "run_dir=x",
    "logger=none",
    "corruption=square",
    "explainer=[wachter,nearest,deep_inversion,latent_shift,composed]",
    "metric=[cout,sparsity,fid_judge,im1]",
)


def right(init: Any, name: str) -> Any:
    """A value that an option takes."""
    for value in (2, 1, [2]):
        with contextlib.suppress(UserError):
            checked(init, {name: value})
            return value
    return TINY


def composed(*overrides: str) -> Callable[[At], Any]:
    """An act: all options of evaluate.py under these overrides are checked; gives the run."""

    def act(at: At) -> Any:
        compose = at.request.getfixturevalue("compose")
        if any(part[0] == "~" for part in overrides):
            config = compose("evaluate", *BASE, *overrides)[0]
        else:  # composing takes a second
            config = base(compose).copy()
            for part in map(OverridesParser.create().parse_override, overrides):
                OmegaConf.update(config, part.key_or_group, part.value(), force_add=part.is_add())
        run = RunConfig.of(config)
        check_options(run)
        return run

    return act


@functools.lru_cache(maxsize=1)
def base(compose: Any) -> DictConfig:
    """The options of evaluate.py with several methods and metrics."""
    config: DictConfig = compose("evaluate", *BASE)[0]
    return config


def read(name: str, *overrides: str) -> Callable[[At], Any]:
    """An act: an option of the run as it is read."""
    return lambda at: getattr(composed(*overrides)(at), name)


def layers(at: At) -> Any:
    """Layers that are called by a number."""
    return composed("classifier.layers=[0]")(at).classifier.layers


def trained(**given: Any) -> Callable[[At], Any]:
    """An act: a Lightning trainer with these options."""
    options = {"_target_": "pytorch_lightning.Trainer", "accelerator": "cpu", **given}
    return lambda at: lightning_trainer(options, 1, at.folder, []).num_devices


def explained(error: Exception) -> Callable[[At], Any]:
    """An act: the line that the scripts print for an error."""
    return lambda at: explain_error(error)


REFUSED: Mapping[str, tuple[str, ...]] = {
    "n=0": ("n=0", "at least 1"),
    "n=-3": ("n=-3", "at least 1"),
    "n=2.5": ("n=2.5", "whole number"),
    "n=true": ("n=true", "whole number"),
    "n=many": ("n='many'", "whole number"),
    "n=nan": ("n=nan", "whole number"),
    "n=inf": ("n=inf", "whole number"),
    "n=[3]": ("n=[3]", "whole number"),
    "n=1e99": ("n=", "whole number of at least 1"),
    "count=0": ("count=0", "at least 1"),
    "batch_size=0": ("batch_size=0", "at least 1"),
    "confidence=true": ("confidence=true", "above 0 and at most 1"),
    "confidence=95": ("confidence=95", "above 0 and at most 1"),
    "confidence=0": ("confidence=0", "above 0"),
    "confidence=nan": ("confidence=nan", "above 0"),
    "threads=1000000": ("threads=1000000", "at most 1024 or auto or null"),
    "threads=0": ("threads=0", "at least 1"),
    "seed=-1": ("seed=-1", "at least 0"),
    "seed=4294967296": ("seed=4294967296", "at most 4294967295"),
    "seed=abc": ("seed='abc'", "whole number"),
    "overwrite=1": ("overwrite=1", "true or false"),
    "overwrite=yes": ("overwrite='yes'", "true or false"),
    "target=null": ("target=null", "text or a whole number", "quotes"),
    "target=true": ("target=true", "quotes", "'target=\"true\"'"),
    "target=1.5": ("target=1.5", "quotes"),
    "device=null": ("device=null", "text"),
    "classifier.training.epochs=0": ("classifier.training.epochs=0", "at least 1"),
    "classifier.training.lr=-1": ("classifier.training.lr=-1", "above 0"),
    "classifier.training.batch_size=0": ("classifier.training.batch_size=0", "at least 1"),
    "classifier.training.flip=1": ("classifier.training.flip=1", "true or false"),
    "classifier.training.label_smoothing=2": ("label_smoothing=2", "at most 1"),
    "classifier.net.width=0": ("classifier.net.width=0", "at least 1"),
    "classifier.net.stages=1.5": ("classifier.net.stages=1.5", "whole number"),
    "classifier.seed=-1": ("classifier.seed=-1", "at least 0"),
    "classifier.std=0": ("classifier.std=0", "above 0"),
    "classifier.std=[1,-1,1]": ("classifier.std[1]=-1", "above 0"),
    "classifier.mean=[a]": ("classifier.mean[0]='a'", "a number"),
    "classifier.layers=pool": ("classifier.layers='pool'", "a list of one is classifier.layers=[pool]"),
    "judge.net.width=true": ("judge.net.width=true", "whole number"),
    "generative.net.latent=0": ("generative.net.latent=0", "at least 1"),
    "generative.net.beta=nan": ("generative.net.beta=nan", "at least 0"),
    "autoencoder.training.weight_decay=-1": ("autoencoder.training.weight_decay=-1", "at least 0"),
    "data.batch_size=0": ("data.batch_size=0", "at least 1"),
    "data.limit=0": ("data.limit=0", "at least 1 or null"),
    "data.seed=0.5": ("data.seed=0.5", "whole number"),
    "data.val_fraction=1": ("data.val_fraction=1", "above 0 and below 1"),
    "+data.limt=3": ("data.limt does not exist", "did you mean limit?"),
    "explainer.wachter.steps=-1": ("explainer.wachter.steps=-1", "at least 1"),
    "explainer.wachter.lambda_=-2": ("explainer.wachter.lambda_=-2", "above 0"),
    "explainer.wachter.patience=-1": ("explainer.wachter.patience=-1", "or null"),
    "explainer.wachter.distance=l3": ("explainer.wachter.distance=l3", "l1, l2"),
    "+explainer.wachter.step=3": ("explainer.wachter.step does not", "did you mean steps?"),
    "explainer.nearest.distance=linf": ("nearest.distance=linf", "choose one of: l1, l2"),
    "explainer.deep_inversion.tv=nan": ("deep_inversion.tv=nan", "at least 0"),
    "explainer.latent_shift.reach=0": ("latent_shift.reach=0", "above 0"),
    "explainer.composed.search.steps=abc": ("composed.search.steps='abc'", "whole number"),
    "explainer.composed.objective.distance.weight=-1": (
        "distance.weight=-1",
        "at least 0",
    ),
    "metric.cout.steps=0": ("metric.cout.steps=0", "at least 1"),
    "metric.sparsity.tau=1": ("metric.sparsity.tau=1", "below 1"),
    "metric.fid_judge.max_reference=1": ("max_reference=1", "at least 2"),
    "corruption.value=2": ("corruption.value=2", "at most 1"),
    "corruption.side=-1": ("corruption.side=-1", "at least 0"),
    "+trainer.epochs=3": ("trainer.epochs does not exist", "max_epochs"),
}
ACCEPTED = [
    Case("n=1e3", read("n", "n=1e3"), right=1000),
    Case("n=1_000", read("n", "n=1_000"), right=1000),
    Case("threads=null", read("threads", "threads=null"), right=None),
    Case("threads=auto", read("threads", "threads=auto"), right="auto"),
    Case("confidence=1", read("confidence", "confidence=1"), right=1),
    Case("target=10", read("target", "target=10"), right=10),
    Case("target='\"10\"'", read("target", 'target="10"'), right="10"),
    Case("target=no", read("target", "target=no"), right="no"),
    Case("target='\"true\"'", read("target", 'target="true"'), right="true"),
    Case(
        "a name that is a number", lambda at: composed("classifier.layers=[0]")(at).classifier.layers, ["0"]
    ),
    Case("a judge that is null", read("judge", "judge=null"), right=None),
    Case("a judge taken out", read("judge", "~classifier@judge"), right=None),
    Case("auto-encoders that are null", read("autoencoder", "autoencoder=null"), right=None),
    Case("auto-encoders taken out", read("autoencoder", "~generative@autoencoder"), right=None),
    Case("a device", lambda at: str(resolve_device("cpu")), right="cpu"),
    Case("one device of a trainer", trained(devices=1), right=1),
    Case(
        "a full memory",
        explained(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: tried 9 bytes")),
        right="not enough memory ([enforce fail] DefaultCPUAllocator: can't allocate memory: tried 9 bytes); "
        "lower batch_size=, training.batch_size= or net.width=",
    ),
]


@cases(
    *(Case(name, composed(name), says=says) for name, says in REFUSED.items()),
    *ACCEPTED,
    Case("no such device", lambda at: resolve_device("gpu"), says=("device=gpu", "auto, cpu or cuda")),
    Case("a device without numbers", lambda at: resolve_device("meta"), says=("device=meta", "device=auto")),
    Case("a GPU too many", lambda at: resolve_device("cuda:63"), says=("device=cuda:63", "device=auto")),
    Case("no such accelerator", trained(accelerator="npu"), says=("trainer: ", "npu", "trainer.*")),
    Case("no such precision", trained(precision=7), says=("trainer: ", "7", "trainer.*")),
    Case("devices by name", trained(devices="x"), says=("trainer: ", "devices", "trainer.*")),
)
def test_options(case: Case, at: At) -> None:
    case.settle(at)
