"""Finds which tensors of a file are a network's weights, whatever their names begin with."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from counterfoil.core.errors import UserError

UNREAD = "num_batches_tracked"
"""A count of batch normalisation that files of old torch versions lack and no forward pass reads."""
MOST = 20
"""Prefixes that are tried, those with most names of the network first."""
_COMPILED = re.compile(r"(^|(?<=[./]))_orig_mod\.")


@dataclass(frozen=True)
class Match:
    """Weights of a file under the names of a network.

    Attributes:
        state: tensors by the network's names.
        prefix: what stands before these names in the file.
        surplus: tensors beside them, without the prefix, that the network does not know.
    """

    state: Mapping[str, Tensor]
    prefix: str
    surplus: Mapping[str, Tensor]


def match(
    wanted: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    what: str,
    name: str,
    optional: Collection[str] = (),
    prefix: str | None = None,
) -> Match:
    """The part of a file that fits a network: under one prefix, or in one of several nested dicts.

    Args:
        wanted: the network's tensors.
        found: the file's, the names of nested dicts joined by "/".
        what: the file, for messages.
        name: the network, for messages.
        optional: tensors of the network that the file may lack, or have in another shape.
        prefix: take the part under this one, such as "ema."; None: whichever fits.

    Raises:
        UserError: where none fits, or several do with other values.
    """
    if prefix is None and _alike(wanted, found):
        return Match({key: found[key] for key in wanted}, "", {})
    file = {_COMPILED.sub("", key): value for key, value in found.items()}
    named = {_COMPILED.sub("", key): key for key in wanted}
    needed = {key: value for key, value in wanted.items() if key not in optional and not key.endswith(UNREAD)}
    read = [name for name, key in named.items() if key in needed]
    parts = [_Part(file, named, needed, own, before) for own, before in _prefixes(file, read, prefix)]
    fitting = [part for part in parts if part.fits]
    if not fitting:
        raise UserError(f"{what} does not fit {name}: {_misfit(parts, file, needed)}")
    chosen = fitting[0]
    for other in fitting[1:]:
        if not _same(chosen.state, other.state):
            raise UserError(
                f"{what} holds several sets of weights that fit {name}: under the prefixes "
                f"{_bare(chosen.prefix)!r} and {_bare(other.prefix)!r}; "
                f"say which, such as +classifier.prefix={_bare(other.prefix)!r}"
            )
    return Match(chosen.state, chosen.prefix, chosen.surplus)


def _alike(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> bool:
    """Whether a file has the network's tensors and no others, as files of a store do."""
    return found.keys() == wanted.keys() and all(
        not is_lazy(value) and value.shape == found[key].shape for key, value in wanted.items()
    )


class _Part:
    """What a file has under one prefix, held against a network whose own names begin with `own`."""

    def __init__(
        self,
        file: Mapping[str, Tensor],
        named: Mapping[str, str],
        needed: Mapping[str, Tensor],
        own: str,
        prefix: str,
    ) -> None:
        self.prefix = prefix
        places = {key: prefix + key.removeprefix(own) for key in named}
        self.state = {named[key]: file[place] for key, place in places.items() if place in file}
        self.missing = _missing(needed, self.state)
        self.shapes = [
            f"{key} is {tuple(self.state[key].shape)}, expected {tuple(value.shape)}"
            for key, value in needed.items()
            if key in self.state and not is_lazy(value) and value.shape != self.state[key].shape
        ]
        taken = set(places.values())
        beside = {
            key.removeprefix(prefix): key for key in file if key.startswith(prefix) and key not in taken
        }
        self.surplus = {name: file[key] for name, key in beside.items() if "/" not in name}
        children = {key.removeprefix(own).partition(".")[0] for key in named if "." in key.removeprefix(own)}
        self.strange = [key for key in self.surplus if key.partition(".")[0] in children]

    @property
    def fits(self) -> bool:
        """Whether nothing lacks or differs, and no part of the network has more than the network knows."""
        return not (self.missing or self.shapes or self.strange)


def _prefixes(file: Collection[str], names: Collection[str], prefix: str | None) -> Iterator[tuple[str, str]]:
    """What the network's names may begin with that the file lacks, and what may stand before them there."""
    endings: dict[str, list[str]] = defaultdict(list)
    for key in file:
        for at in (0, *(mark.end() for mark in re.finditer(r"[./]", key))):
            endings[key[at:]].append(key[:at])
    for own in _shared(names):
        counts = Counter(before for key in names for before in endings.get(key.removeprefix(own), ()))
        for before, _ in counts.most_common(MOST):
            if prefix is None or _bare(before) == _bare(prefix):
                yield own, before
        if len(names) in counts.values():
            return


def _shared(names: Collection[str]) -> Iterator[str]:
    """Nothing, then the leading parts that all names share."""
    own = ""
    yield own
    while names:
        first = next(iter(names)).removeprefix(own).partition(".")
        if not first[1] or not all(name.startswith(own + first[0] + ".") for name in names):
            return
        own += first[0] + "."
        yield own


def _bare(prefix: str) -> str:
    return prefix.rstrip("./")


def _missing(needed: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Names that the file must have and lacks; one of several names of a shared tensor is enough."""
    shared = {_place(value) for key, value in needed.items() if key in state} - {None}
    return [key for key, value in needed.items() if key not in state and _place(value) not in shared]


def _place(value: Tensor) -> tuple[Any, ...] | None:
    """Where a tensor lies in memory; None where that tells nothing."""
    if is_lazy(value) or not value.numel() or not value.data_ptr():
        return None
    return value.data_ptr(), tuple(value.shape), value.stride()


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def _misfit(parts: Sequence[_Part], file: Collection[str], needed: Collection[str]) -> str:
    """Why the part that comes nearest does not fit, on the rest of a line."""
    names = sorted(key for key in file if not key.endswith(UNREAD))  # a file may hold them in any order
    heads = f"it begins with {_listed(names, 3)}; expected {_listed(list(needed), 3)}"
    fix = "give the class and options of net that it was saved from, or rename its keys"
    if not parts:
        return f"no name agrees; {heads}; {fix}"
    best = min(parts, key=lambda part: (len(part.missing), len(part.shapes), len(part.strange)))
    problems = ("lacks", best.missing), ("differs in shape:", best.shapes), ("has in addition", best.strange)
    said = [f"{verb} {_listed(names, 2)}" for verb, names in problems if names]
    under = f"under {_bare(best.prefix)!r} " if best.prefix else ""
    return "; ".join([f"{under}it {', and '.join(said)}", *([heads] if best.missing else []), fix])


def _listed(names: Sequence[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more
