"""What to write in place of an option that Hydra cannot read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from counterfoil.core.errors import suggest

SEPARATORS = re.compile(r"^-*([+~]*[\w.@/]+)\s*[:=]\s*(.*)$", re.S)
"""NAME=VALUE, or what may be meant by it: --NAME=VALUE, NAME: VALUE, NAME = VALUE."""


TUNES = "sweep=METHOD tunes a method's options, and -m OPTION=A,B runs a grid"
WITHIN = "every training is tested at its end, and train_missing=true of an evaluation trains what it misses"
RESUMES = "the same command goes on with a cut-off training, and classifier.checkpoint=FILE takes weights"
ELSEWHERE = {
    **dict.fromkeys(("tune", "hparams_search", "optimized_metric"), TUNES),
    **dict.fromkeys(("train", "test"), WITHIN),
    **dict.fromkeys(("task_name", "paths"), "run_dir= names a run and its folder, store= that of the models"),
    **dict.fromkeys(("model", "net"), "models are chosen by classifier=, generative= and classifier@judge="),
    **dict.fromkeys(("ckpt_path", "resume_from_checkpoint"), RESUMES),
    "datamodule": "data= chooses the images",
    "extras": "threads=, overwrite= and callbacks=none are options of their own",
    "tags": "+logger.wandb.tags= sets them; a run's overrides are its tags otherwise",
}
"""Options and groups that are usual elsewhere, and what does it here."""


def unreadable(option: str) -> str:
    """The line for an option that is against Hydra's grammar: its name, and the form that works."""
    found = SEPARATORS.match(option)
    if not found:
        return f"{option} is no option; write NAME=VALUE, or --help for all of them"
    name, value = found.groups()
    if "\n" in value:
        return f"option {name}: its value has a line break; take it out"
    if reads(f"{name}={value}", value):
        return f"{option} cannot be read as an option; write {name}={shlex.quote(value)}"
    written = quoted(name, value)
    if written is None:
        return f"option {name}: {value} cannot be read; set it in a file of configs, experiment=FILE"
    listed = "; a list or a dict needs its closing bracket" if value[:1] in ("[", "{", "(") else ""
    return (
        f"option {name}: {value} cannot be read; "
        f"a text with such signs needs two pairs of quotes: {written}{listed}"
    )


def ambiguous(option: str) -> str:
    """The line for a value with a comma outside a multirun."""
    name, _, value = option.partition("=")
    return (
        f"option {name}: {value} holds a comma; write {quoted(name, value)} for one text, "
        f"{name}={shlex.quote(f'[{value}]')} for a list, or add --multirun for a run of each"
    )


def unknown_reference(reference: str, where: str) -> str:
    """The line for ${...} that refers to nothing."""
    option = f"option {where}: " if where else ""
    return (
        f"{option}${{{reference}}} refers to no option; "
        f"in a text that holds ${{ write a backslash before it: '\\${{{reference}}}'"
    )


def unknown(name: str, siblings: Iterable[str], parent: str = "") -> str:
    """The line for an option that the config does not have; `siblings` are what `parent` does have."""
    known = sorted(str(key) for key in siblings)
    rest = name.removeprefix(parent).lstrip(".")
    if rest in known:  # a key with dots in it, of which Hydra makes a path
        return f"option {name}: {rest} is one key of {parent}; write {parent}='{{{rest}: VALUE}}'"
    if name in ELSEWHERE:
        return f"option {name} does not exist: {ELSEWHERE[name]}; see --help or --cfg job for all of them"
    near = suggest(rest.split(".")[0], known)
    if near and parent:
        near = near.replace("did you mean ", f"did you mean {parent}.")
    listed = f"; the options there: {', '.join(known)}" if known and not near else ""
    return f"option {name} does not exist{near}{listed}; see --help or --cfg job for all of them"


def quoted(name: str, value: str) -> str | None:
    """NAME=VALUE that Hydra and a shell read as this text; None where there is none."""
    for mark in ('"', "'"):
        text = mark + value.replace(mark, f"\\{mark}") + mark
        if reads(f"{name}={text}", value):
            return f"{name}={shlex.quote(text)}"
    return None


def reads(option: str, value: str) -> bool:
    """Whether Hydra reads an option as this text."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return str(OverridesParser.create().parse_override(option).value()) == value
    except HydraException:
        return False
