"""A composed config as typed objects: the run's options, a recipe for each model, data set and metric."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf, open_dict

from counterfoil.classifier.order import read_names
from counterfoil.core.bounds import Bounds, Count, Positive, Probability, Seed, checked
from counterfoil.core.decision import RULES
from counterfoil.core.errors import UserError
from counterfoil.explainer.again import Pass
from counterfoil.search import Precision
from counterfoil.util.build import plain
from counterfoil.util.cores import threads_for
from counterfoil.util.digest import digest, file_digest
from counterfoil.util.grammar import ELSEWHERE
from counterfoil.util.naming import file_name

MODELS = {
    "classifier": "classifier",
    "judge": "classifier@judge",
    "generative": "generative",
    "autoencoder": "generative@autoencoder",
}
"""Keys of a config that hold a model, and the config group that fills each."""
ROLES = ("classifier", "generative", "autoencoder")
"""What a model can be."""
INCIDENTAL = (
    "run_dir", "logger", "trainer", "threads", "overwrite", "train_missing", "metric", "study", "methods",
    "sweep", "jobs", "devices", "refill", "callbacks", "audit",
)  # fmt: skip
"""Options that do not change what a run explains."""
NEWER: Mapping[str, Any] = {
    "again": [], "half": None, "refine": None, "residual": False, "any_class": False, "starts": 1,
    "tint": None, "mark": None, "backdrop": None,
}  # fmt: skip
"""Options that runs may have been begun without, and what they are where they are not used."""
FILES = ("queries", "mask")
"""Options that name a file, whose content is what counts."""
BESIDE = ("attribute", "methods", "run_dir", "study", "sweep", "jobs", "planted")
"""Options that configs, entry points and views of a study read, beside those of a run."""
EPOCHS = "set classifier.training.epochs= or generative.training.epochs="
CALLED = {
    **dict.fromkeys(("max_epochs", "num_epochs", "n_epochs", "epoch"), "epochs"),
    **dict.fromkeys(("learning_rate", "lr_rate"), "lr"),
    **dict.fromkeys(("bs", "batchsize"), "batch_size"),
    **dict.fromkeys(("gpu", "cuda", "accelerator"), "device"),
    **dict.fromkeys(("gpus", "num_gpus", "num_processes", "nproc", "world_size"), "devices"),
    **dict.fromkeys(("ckpt", "ckpt_path", "weights", "pretrained", "model_path"), "checkpoint"),
    **dict.fromkeys(("num_queries", "n_queries", "num_samples", "samples"), "n"),
    **dict.fromkeys(("output_dir", "out", "save_dir"), "run_dir"),
    **dict.fromkeys(("num_workers", "workers", "num_threads"), "threads"),
    **dict.fromkeys(("data_dir", "data_root", "dataset_path"), "root"),
    **dict.fromkeys(("target_class", "desired_class"), "target"),
}
"""What options are called here that other tools call otherwise."""
PATHS = (*FILES, "counterfactuals", "store")
"""Options that are paths."""


NUMBERS = (
    "seed", "target", "confidence", "n", "count", "batch_size", "refill", "threads",
    "overwrite", "train_missing", "reference", "only_correct", "split", "device", "dtype",
    "devices", "precision", "again",
)  # fmt: skip
"""Options that are a number, a word, a list of words or a switch."""
Processes = Annotated[int, Bounds(least=1, most=1024)]
"""Processes at one evaluation on a machine."""
Threads = Annotated[int, Bounds(least=1, most=1024)]
"""Threads of the CPU; far more of them end the process."""


@dataclass(frozen=True)
class DataRecipe:
    """The data set of a config: its class as `_target_`, and the arguments."""

    options: Mapping[str, Any]
    role: str = "data"

    def as_dict(self) -> dict[str, Any]:
        """The node as it was composed."""
        return {"role": self.role, **self.options}


@dataclass(frozen=True)
class ModelRecipe:
    """How one model is made and read: a node of conf/classifier or conf/generative.

    Attributes:
        role: classifier, generative or autoencoder.
        name: of the yaml.
        seed: of the training.
        net, training: class (`_target_`) and arguments; models and data in them are recipes too.
        checkpoint: a file of weights from elsewhere; None: the store's.
        prefix: what stands before the names of the weights in that file; None: whichever fits.
        labels: whether the model sees the labels of the data.
        mean, std: normalisation of a classifier's inputs, one number or one per channel.
        layers: names of the activations of a classifier that methods and metrics read.
        decision: class and arguments of what turns a classifier's outputs into logits.
        output: the one of a classifier's several outputs that decides; None: its logits, or the only one.
        class_names: of a classifier's outputs, in their order; None: as the data's classes.
    """

    role: str
    name: str
    seed: Seed
    net: Mapping[str, Any]
    training: Mapping[str, Any]
    checkpoint: str | None = None
    prefix: str | None = None
    labels: bool = True
    mean: float | Sequence[float] | None = None
    std: Positive | Sequence[Positive] | None = None
    layers: Sequence[str] = ()
    decision: Mapping[str, Any] | None = None
    output: str | int | None = None
    class_names: Sequence[str] | None = None

    @classmethod
    def of(cls, node: Mapping[str, Any], where: str = "config") -> ModelRecipe:
        """The recipe of a node of a plain config.

        Raises:
            UserError: an option that models do not have, or one without a value that each needs.
        """
        known = {field.name: field for field in fields(cls)}
        node = _found_at(node, where)
        for name in node.keys() - known.keys():
            raise UserError(
                f"{where}.{name} is no option of a model; {does_it(name, _without(node, name), where)}"
                f"its options: {', '.join(known)}"
            )
        for name, one in known.items():
            if one.default is MISSING and name not in node:
                raise UserError(f"{where}.{name} is not set; every model needs one")
        if node.get("class_names") is not None:
            node = {**node, "class_names": list(read_names(node["class_names"], f"{where}.class_names"))}
        node = checked(cls, node, f"{where}.")
        given = {name: typed(value, f"{where}.{name}") for name, value in node.items()}
        if isinstance(given.get("decision"), str):
            given["decision"] = {"_target_": _rule(given["decision"], where)}
        return cls(**given)

    def __str__(self) -> str:
        return f"{self.role} {self.name}"

    @property
    def multilabel(self) -> bool:
        """Whether the network has one output per attribute instead of one per class."""
        return bool(self.training.get("multilabel"))

    def as_dict(self) -> dict[str, Any]:
        """The node as plain values, without what is at its default; `of` turns it back."""
        given = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: untyped(value) for name, (value, default) in given.items() if value != default}


@dataclass(frozen=True)
class MetricRecipe:
    """A metric, or several made by one function.

    Attributes:
        options: class or function (`_target_`) and arguments.
        refers: keys of the config that it takes something from, such as judge or data.
    """

    options: Any
    refers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RunConfig:
    """A composed config of train.py or evaluate.py; in a training, options of evaluate.yaml keep defaults.

    Attributes:
        composed: the config as plain values, as it was composed.
        data, classifier, judge, generative, autoencoder: recipes; None where none is chosen.
        explainer: class and arguments of each method chosen.
        metric: each metric chosen.
        trainer, logger: class and arguments; of the trainer with the callbacks chosen.
        callbacks: each one chosen.
        seed: of the queries, and by default of the models.
        target: runner_up, all, a class or a pair of classes.
        confidence: probability of the target to reach, in (0, 1].
        n, count, batch_size: queries, counterfactuals per query, queries explained at once and kept together.
        refill: queries at work at once, where those of the next batches take the places of finished ones.
        queries: a CSV, an image or a folder of images in place of a sample.
        only_correct: ask about images alone that the classifier gets right.
        mask: an image file; white pixels stay.
        counterfactuals: a run folder or a file to score in place of a search.
        corruption: function of the images of the queries, with its arguments.
        refine: a stage after the search of every method, with its arguments.
        reference: explain the clean queries as well where they are corrupted.
        audit: options of the audit, or whether there is one.
        again: what is explained a second time: back, noise, own; see `counterfoil.explainer.again`.
        split: whose images are explained, test or val.
        devices: processes at an evaluation on this machine.
        precision: of the networks in a gradient search, see `Search`.

    Raises:
        UserError: a number that is none, or out of range.
    """

    composed: Mapping[str, Any]
    data: DataRecipe
    trainer: Mapping[str, Any]
    logger: Mapping[str, Any]
    store: Path
    seed: Seed
    target: str | int
    confidence: Probability
    n: Count
    count: Count
    batch_size: Count
    threads: Threads | Literal["auto"] | None
    overwrite: bool
    explainer: Mapping[str, Any]
    metric: Mapping[str, MetricRecipe]
    classifier: ModelRecipe | None = None
    judge: ModelRecipe | None = None
    generative: ModelRecipe | None = None
    autoencoder: ModelRecipe | None = None
    queries: Path | None = None
    only_correct: bool = False
    mask: Path | None = None
    counterfactuals: Path | None = None
    device: str = "cpu"
    dtype: str = "float32"
    train_missing: bool = False
    corruption: Mapping[str, Any] | None = None
    refine: Mapping[str, Any] | None = None
    reference: bool = False
    split: Literal["test", "val"] = "test"
    devices: Processes = 1
    refill: Count | None = None
    callbacks: Mapping[str, Any] = field(default_factory=dict)
    precision: Precision = "float32"
    again: Sequence[Pass] = ()
    audit: Mapping[str, Any] | bool | None = None

    @property
    def wanted_threads(self) -> int | None:
        """Threads of the CPU for this evaluation; None: as many as torch has."""
        if self.threads != "auto":
            return self.threads
        asked = self.n * self.count if self.queries is None else self.batch_size
        return threads_for(min(self.refill or self.batch_size, asked))

    @classmethod
    def of(cls, config: DictConfig) -> RunConfig:
        """The typed form of what Hydra composed."""
        config = _settle(config)
        composed: dict[str, Any] = plain(config)
        written: Any = OmegaConf.to_container(config, resolve=False)
        _refuse_unread(composed, written)
        composed |= checked(cls, {name: composed[name] for name in NUMBERS if name in composed})
        tree = typed(composed)
        given = {field.name: tree[field.name] for field in fields(cls) if field.name in tree}
        given |= {name: _model(tree.get(name)) for name in MODELS}
        paths = {name: given[name] for name in PATHS if given.get(name) is not None}
        given |= {name: Path(str(value)).expanduser() for name, value in paths.items()}
        given["explainer"] = _chosen(tree.get("explainer") or {}, tree.get("methods"))
        given["metric"] = {
            name: MetricRecipe(options, frozenset(_references(written["metric"][name])))
            for name, options in _chosen(tree.get("metric") or {}, None).items()
        }
        given["trainer"] = _with_callbacks(given["trainer"], tree.get("callbacks") or {})
        for group in ("explainer", "metric"):
            for name in given[group]:
                file_name(name, group)
        if isinstance(given.get("data"), DataRecipe):
            file_name(given["data"].options.get("name") or "data", "data.name")
        return cls(composed=composed, **given)

    @property
    def explained(self) -> ModelRecipe:
        """The classifier; raises UserError where none is chosen."""
        if self.classifier is None:
            raise UserError("classifier: none chosen; choose one, such as classifier=cnn")
        return self.classifier

    def measuring(self, metrics: Sequence[str]) -> RunConfig:
        """The same run with these of its metrics alone."""
        return replace(self, metric={name: self.metric[name] for name in metrics})

    def models(self, *groups: str) -> dict[str, ModelRecipe]:
        """The models below these groups by their path, each once and after those it depends on.

        One that a group of the config holds is called by that group.
        """
        found: dict[str, ModelRecipe] = {}
        own = [(name, getattr(self, name)) for name in MODELS]
        for group in groups:
            for path, recipe in recipes_in(getattr(self, group), group):
                if recipe not in found.values():
                    found[next((name for name, other in own if other == recipe), path)] = recipe
        return found

    @property
    def identity(self) -> str:
        """What a run explains, in ten hex digits: its options, and the content of files that they name."""
        kept = {key: value for key, value in self.as_dict().items() if key not in INCIDENTAL}
        if self.precision == "float32":  # as it was before there was a choice
            kept.pop("precision", None)
        if kept["data"].get("classes") is None:  # likewise
            kept["data"] = {key: value for key, value in kept["data"].items() if key != "classes"}
        files = {name: getattr(self, name) for name in FILES}
        named = {name: model.class_names for name, model in self.models("classifier", "judge").items()}
        content: dict[str, Any] = {
            name: content_digest(path) for name, path in files.items() if path is not None
        }
        given = {f"{name}.class_names": names for name, names in named.items() if names is not None}
        return digest(used(kept | content | given))

    def as_dict(self) -> dict[str, Any]:
        """The config as plain values, with the methods and metrics that are used."""
        used = {"explainer": self.explainer, "metric": self.metric}
        kept = {group: {name: self.composed[group][name] for name in names} for group, names in used.items()}
        return {**self.composed, **kept}


def typed(value: Any, where: str = "") -> Any:
    """Plain values with a recipe in place of each node that is a model or the data."""
    if isinstance(value, list):
        return [typed(child, f"{where}[{i}]") for i, child in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    if value.get("role") == "data":
        return DataRecipe({key: child for key, child in value.items() if key != "role"})
    if value.get("role") in ROLES and "net" in value:
        return ModelRecipe.of(value, where)
    return {key: typed(child, f"{where}.{key}" if where else str(key)) for key, child in value.items()}


def untyped(value: Any) -> Any:
    """The reverse of `typed`."""
    if isinstance(value, DataRecipe | ModelRecipe):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {key: untyped(child) for key, child in value.items()}
    return [untyped(child) for child in value] if isinstance(value, list) else value


def used(value: Any) -> Any:
    """Plain values without options that are newer than runs that were begun without them, where not used."""
    if isinstance(value, Mapping):
        return {key: used(child) for key, child in value.items() if key not in NEWER or child != NEWER[key]}
    return [used(child) for child in value] if isinstance(value, list) else value


def recipes_in(value: Any, path: str = "") -> Iterator[tuple[str, ModelRecipe]]:
    """Every model below a typed value with its dotted path; what a model depends on comes before it."""
    if isinstance(value, ModelRecipe):
        for name in ("net", "training", "decision"):
            yield from recipes_in(getattr(value, name), f"{path}.{name}")
        yield path, value
    elif isinstance(value, MetricRecipe):
        yield from recipes_in(value.options, path)
    elif isinstance(value, Mapping | list):
        for key, child in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from recipes_in(child, f"{path}.{key}" if path else str(key))


def _found_at(node: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A node with `path`, as those of networks from elsewhere have it, in the place of its checkpoint."""
    if "path" not in node:
        return node
    file = node.get("checkpoint") or node["path"]
    if not file:
        raise UserError(
            f"{where}.path is not set; {node.get('name', 'it')} is read from a file or folder, which it names"
        )
    return {**_without(node, "path"), "checkpoint": str(file)}


def _rule(name: str, where: str) -> str:
    """The class of a rule by the name of its yaml in conf/decision."""
    if name not in RULES:
        raise UserError(f"{where}.decision={name} is no rule; choose of {', '.join(RULES)}")
    return f"{RULES[name].__module__}.{RULES[name].__qualname__}"


def _refuse_unread(composed: Mapping[str, Any], written: Mapping[str, Any]) -> None:
    """Refuse options at the top that no run, no other option and no view of a study reads."""
    known = {field.name for field in fields(RunConfig)} - {"composed"} | set(BESIDE)
    unread = composed.keys() - known
    read = {*_references(written), *_words(composed.get("study"))} if unread else ()
    for name in sorted(unread.difference(read)):
        found = does_it(name, {key: value for key, value in composed.items() if key in known}, "")
        found = f"{ELSEWHERE[name]}; " if name in ELSEWHERE else found
        raise UserError(f"option {name} is read by nothing; {found}see --help or --cfg job for all options")
    if (composed.get("trainer") or {}).get("max_epochs") is not None:
        found = does_it("max_epochs", _without(composed, "trainer"), "")
        raise UserError(
            f"trainer.max_epochs: the number of epochs belongs to the model; {found.strip('; ') or EPOCHS}"
        )


def _without(node: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != name}


def refuse_unchosen(run: RunConfig, overrides: Sequence[str]) -> None:
    """Refuse options on the command line that are of a method, metric or model that is not chosen."""
    chosen = {
        group: [
            name
            for name, node in (run.composed.get(group) or {}).items()
            if not isinstance(node, Mapping) or "_target_" in node
        ]
        for group in ("explainer", "metric")
    }
    for part in overrides:
        path = part.split("=")[0].lstrip("+").split(".")
        if len(path) > 2 and path[0] in chosen and path[1] not in chosen[path[0]]:
            raise UserError(
                f"{'.'.join(path)} is read by nothing, as {path[0]}={path[1]} is not chosen; "
                f"those chosen: {', '.join(chosen[path[0]]) or 'none'}"
            )
        if part.startswith("+") and len(path) > 1 and path[0] in MODELS and getattr(run, path[0]) is None:
            raise UserError(
                f"{'.'.join(path)} is read by nothing, as no {path[0]} is chosen; add {MODELS[path[0]]}=NAME"
            )


def does_it(name: str, tree: Any, where: str) -> str:
    """The half-sentence "set PATH=; " of the options below a node that are called like a name, or nothing."""
    wanted = CALLED.get(name, name)
    paths = [path for path in _paths(tree, where) if path.rpartition(".")[2] == wanted]
    if not paths:
        names = {path.rpartition(".")[2]: path for path in _paths(tree, where)}
        paths = [names[near] for near in difflib.get_close_matches(name, names, n=1, cutoff=0.75)]
    paths.sort(key=lambda path: path.count("."))
    return f"set {' or '.join(f'{path}=' for path in paths[:2])}; " if paths else ""


def _words(value: Any) -> Iterator[str]:
    """All keys and texts below a node."""
    if isinstance(value, Mapping):
        yield from map(str, value)
    for child in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _words(child)
    if isinstance(value, str):
        yield value


def _paths(tree: Any, where: str) -> Iterator[str]:
    """Dotted paths of all options below a node."""
    for key, value in tree.items() if isinstance(tree, Mapping) else ():
        path = f"{where}.{key}" if where else str(key)
        if isinstance(value, Mapping) and value:
            yield from _paths(value, path)
        elif not str(key).startswith("_"):
            yield path


def content_digest(path: Path) -> str:
    """SHA-256 of a file, or of the files in a folder with their names.

    The path itself where there is none, for its reader to refuse.
    """
    if path.is_file():
        return file_digest(path)
    if path.is_dir():
        return digest(
            [(file.name, file_digest(file)) for file in sorted(path.iterdir()) if file.is_file()], 64
        )
    return str(path)


def _settle(config: DictConfig) -> DictConfig:
    """The config with null for a judge or auto-encoders that it does not name, however that was said."""
    absent = [name for name in ("judge", "autoencoder") if "role" not in (config.get(name) or {})]
    settled = config.copy()
    with open_dict(settled):
        for name in absent:
            settled[name] = None
    return settled


def _model(value: Any) -> ModelRecipe | None:
    """A model; None where an experiment only sets options of one that no group chose."""
    return value if isinstance(value, ModelRecipe) else None


def _with_callbacks(trainer: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer with the callbacks of the group before its own."""
    own = trainer.get("callbacks") or []
    several = [*(node for node in chosen.values() if node), *(own if isinstance(own, list) else [own])]
    return {**trainer, "callbacks": several} if several else dict(trainer)


def _chosen(parts: Mapping[str, Any], methods: Sequence[str] | None) -> dict[str, Any]:
    """The methods or metrics that run, without options that an experiment sets for one not chosen."""
    found = {
        name: options
        for name, options in parts.items()
        if not isinstance(options, Mapping) or "_target_" in options
    }
    unknown = [name for name in methods or () if name not in found]
    if unknown:
        raise UserError(f"methods: {unknown[0]} is not among those chosen; choose of {', '.join(found)}")
    return {name: options for name, options in found.items() if methods is None or name in methods}


def _references(value: Any) -> Iterator[str]:
    """Keys of the config that the interpolations below an unresolved value refer to."""
    if isinstance(value, Mapping | list):
        for child in value.values() if isinstance(value, Mapping) else value:
            yield from _references(child)
    elif isinstance(value, str):
        yield from (part.split("}")[0].split(".")[0] for part in value.split("${")[1:])
